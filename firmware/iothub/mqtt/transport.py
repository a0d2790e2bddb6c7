"""The MQTT transport: IoT Hub's features as topics over a Link; what comes in is in routes.py.

It offers the client the few operations that any transport does. Source: spec iothub-mqtt.

The client is told, as methods: received(message, receipt), method(name, rid, body),
desired(body), oversized(error), problem(error), lost(error), renewed(), expiring(); and
asked whether it is calm().
"""

import os

from ..deadline import Answer, within
from ..errors import ConnectionDroppedError
from ..future import DONE, coroutine
from . import topics
from .link import Link
from .routes import Routes


class MQTTTransport(Routes):
    """See the module. The features are "messages", "methods", "twin" and "desired"."""

    def __init__(self, credentials, client, options):
        self._client = client
        self.problem = client.problem
        self.lost = client.lost
        self.renewed = client.renewed
        self.expiring = client.expiring
        self.calm = client.calm
        self._timeout = options["timeout"]
        self._qos = options["qos"]
        self.max_inbound = options["max_inbound"]
        device, module = credentials.device_id, credentials.module_id
        self._own = topics.identity(device, module)
        self._events = topics.events(device, module).encode()
        self._filters = {
            "messages": (topics.messages_filter(device, module), 1),
            "methods": (topics.METHODS_FILTER, 0),
            "twin": (topics.TWIN_ANSWER_FILTER, 0),
            "desired": (topics.DESIRED_FILTER, 0),
        }
        # A stale answer, to a request made before a restart, must meet no request of now.
        self._rid = int.from_bytes(os.urandom(3), "big")
        self._link = Link(self, credentials, options)
        will = options["will"]
        if will is not None:
            topic = topics.telemetry(self._events, will)
            self._link.session.set_last_will(topic, will.payload(), qos=1)
        self.renew = self._link.renew
        self.trust_anew = self._link.trust_anew
        self.disconnect = self._link.disconnect
        self.give_up = self._link.give_up

    def health(self):
        """(messages that wait to be acknowledged, round trip in ms or None)."""
        return self._link.session.unacknowledged, self._link.watch.round_trip

    async def connect(self, features, read_twin=False):
        """Connect with `features` on, in one flight with what waits to be sent.

        With read_twin the twin is asked for too: an Answer, whose value is as request_twin()'s.
        """
        asked = []
        await self._link.connect(
            dict(self._filters[feature] for feature in features),
            lambda: asked.append(self._ask_twin(None)[1]) if read_twin else None,
        )
        return asked[-1] if asked else None

    async def enable(self, feature):
        """Subscribe to what `feature` needs, on the connection that stands."""
        await self._link.subscribe(*self._filters[feature])

    def settle(self, receipt, outcome):
        """Say what became of a C2D message. MQTT can only complete: "reject" does that too, and
        what is "abandon"ed stays unacknowledged, and comes again with the next connection.
        """
        if outcome != "abandon":
            self.acknowledge(receipt)

    def acknowledge(self, receipt):
        """Send the PUBACK that a message waits for."""
        self._link.session.acknowledge(receipt)
        self._link.wake()

    def send_message(self, message):
        """Send telemetry. To be awaited: done once the hub has acknowledged it.

        At QoS 0 it is done at once: the message is queued, on the connection that stands.
        """
        topic = topics.telemetry(self._events, message)
        if self._qos:
            return coroutine(self._link.deliver(topic, message.payload()))
        self._publish(topic, message.payload(), "write")
        return coroutine(DONE)

    async def request_twin(self, patch=None):
        """Get the twin (bytes of JSON), or report `patch` (bytes); (body, version) of the answer.

        ServiceError with the hub's status; ConnectionDroppedError; OperationTimeout at twin.
        """
        subscribed = self._link.begin_subscribe(*self._filters["twin"])
        rid, answer = self._ask_twin(patch)
        try:
            if subscribed is not None:
                await within(self._timeout, "subscribe", subscribed.wait())
            return await within(self._timeout, "twin", answer.wait())
        finally:
            self._link.answers.pop(rid, None)

    def _ask_twin(self, patch):
        self._rid = (self._rid + 1) & 0xFFFFFF
        rid = "%x" % self._rid
        topic = topics.twin_get(rid) if patch is None else topics.twin_patch(rid)
        answer = self._link.answers[rid] = Answer()
        self._publish(topic.encode(), patch or b"", "twin")
        return rid, answer

    def send_method_response(self, rid, status, body):
        """Answer a method. At QoS 0: an answer that misses its connection is worth nothing."""
        self._publish(topics.method_answer(rid, status).encode(), body, "method")

    def _publish(self, topic, payload, stage):
        if not self._link.open:
            raise ConnectionDroppedError("there is no connection", stage)
        self._link.session.publish(topic, payload)
        self._link.wake()
