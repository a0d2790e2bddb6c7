"""What the hub publishes, by topic, to whom it is for: the receiving half of the MQTT transport.

A parser answers None for "not mine", so the routes are tried in turn. Source: spec iothub-mqtt.
"""

from ..errors import ServiceError
from ..messages import Message
from . import topics


class Routes:
    """The receiving half of MQTTTransport, which has the link, the client and acknowledge()."""

    def message(self, topic, payload, receipt):
        """Hand a PUBLISH to whom it is for. One that nobody can read is reported, and dropped."""
        try:
            topic = topic.decode()
            for route in (self._on_message, self._on_twin, self._on_method, self._on_desired):
                if route(topic, payload, receipt):
                    return
            raise ValueError("a message on a topic that is not this device's")
        except Exception as error:
            # One bad message must not end the connection: it would come again, and again.
            self._client.problem(error)

    def oversized(self, topic, size):
        """A packet over max_inbound, which was not kept: whoever waits for it is told."""
        from ..oversized import tell

        tell(self, self._client, self._link.answers, topic, size)

    def _on_message(self, topic, payload, receipt):
        parsed = topics.parse_message(topic, self._own)
        if parsed is None:
            return False
        message = Message(payload)
        message.input_name, bag = parsed
        topics.decode_message(bag, message)
        self._client.received(message, receipt)
        return True

    def _on_twin(self, topic, payload, receipt):
        parsed = topics.parse_twin_answer(topic)
        if parsed is None:
            return False
        self.acknowledge(receipt)
        status, rid, version = parsed
        answer = self._link.answers.pop(rid, None)
        if answer is None:
            return True  # of a request given up, or of the boot before
        if status >= 300:
            answer.fail(ServiceError("the hub refused a twin request", "twin", status))
        else:
            answer.give((payload, version))
        return True

    def _on_method(self, topic, payload, receipt):
        parsed = topics.parse_method(topic)
        if parsed is None:
            return False
        self.acknowledge(receipt)
        self._client.method(parsed[0], parsed[1], payload)
        return True

    def _on_desired(self, topic, payload, receipt):
        if topics.parse_desired(topic) is None:
            return False
        self.acknowledge(receipt)
        self._client.desired(payload)
        return True
