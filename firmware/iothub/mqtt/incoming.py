"""What the hub publishes, by its topic, to the events that it means. Loaded with the first."""

from ..errors import ServiceError
from ..messages import Message
from ..pending import answer
from . import topics
from .properties import decode_message


def dispatch(topic, payload, receipt, own, events, requests):
    """Hand on a PUBLISH to `topic` (bytes): to the Dispatcher `events`, or to the twin request of
    `requests` that it answers. own: the start of this device's own topics.

    True: it is settled later, with `receipt`. ValueError: nobody knows the topic.
    """
    topic = topic.decode()
    message = topics.parse_message(topic, own)
    if message is not None:
        return _on_message(message, payload, receipt, events)
    twin = topics.parse_twin_answer(topic)
    if twin is not None:
        return _on_twin(twin, payload, requests)
    method = topics.parse_method(topic)
    if method is not None:
        return events.on_method(method[0], method[1], payload)
    if topics.parse_desired(topic) is not None:
        return events.on_desired(payload)
    raise ValueError("a message on a topic that is not this device's")


def _on_message(parsed, payload, receipt, events):
    message = Message(payload)
    message.input_name, bag = parsed
    decode_message(bag, message)
    events.on_message(message, receipt)
    return True


def _on_twin(parsed, payload, requests):
    status, rid, version = parsed
    error = None
    if status >= 300:
        error = ServiceError("the hub refused a twin request", "twin", status)
    answer(requests, rid, (payload, version), error)
