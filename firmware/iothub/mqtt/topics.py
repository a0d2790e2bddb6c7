"""IoT Hub's MQTT topics: built, parsed, and handed on to the events that they mean.

They are matched at their start only. A parser answers None for a topic of another kind. Loaded
with the first feature beyond telemetry. Contract: docs/protocol/mqtt.md.
"""

from ..compat import unquote
from ..errors import ServiceError
from ..messages import Message
from ..pending import answer
from .properties import decode_message, decode_properties

METHODS_FILTER = "$iothub/methods/POST/#"
TWIN_ANSWER_FILTER = "$iothub/twin/res/#"
DESIRED_FILTER = "$iothub/twin/PATCH/properties/desired/#"


def filter_of(feature, own):
    """(topic filter, QoS) of a feature; `own`: the start of the device's own topics."""
    if feature == "messages":  # those of a module are its inputs
        return own + ("#" if "/modules/" in own else "messages/devicebound/#"), 1
    return {"methods": METHODS_FILTER, "twin": TWIN_ANSWER_FILTER, "desired": DESIRED_FILTER}[
        feature
    ], 0


def parse_message(topic, own):
    """(input name or None, bag) of a C2D or input message; `own`: the start of its own topics."""
    if not topic.startswith(own):
        return None
    rest = topic[len(own) :]
    if rest.startswith("messages/devicebound"):
        bag = rest[len("messages/devicebound") :]
        if not bag or bag[0] == "/":
            return None, bag[1:]
    elif rest.startswith("inputs/"):
        name, _, bag = rest[len("inputs/") :].partition("/")
        return unquote(name), bag
    return None


def twin_request(rid, patch=None):
    """The topic that asks for the whole twin, or reports a patch; `rid` must need no encoding."""
    what = "GET" if patch is None else "PATCH/properties/reported"
    return "$iothub/twin/" + what + "/?$rid=" + rid


def parse_twin_answer(topic):
    """(status, rid, version or None) of an answer to twin_request."""
    rest = _after(TWIN_ANSWER_FILTER, topic)
    if rest is None:
        return None
    status, _, bag = rest.partition("/")
    properties = decode_properties(bag)
    version = properties.get("$version")
    return _integer(status, "status"), properties.get("$rid"), _integer(version, "$version")


def parse_desired(topic):
    """The $version of a desired-properties patch, or -1 where the topic bears none."""
    rest = _after(DESIRED_FILTER, topic)
    if rest is None:
        return None
    version = decode_properties(rest).get("$version")
    return -1 if version is None else _integer(version, "$version")


def parse_method(topic):
    """(name, rid) of a direct method; rid stays as it came, to be echoed to the letter."""
    rest = _after(METHODS_FILTER, topic)
    if rest is None:
        return None
    name, _, bag = rest.partition("/")
    for part in bag.lstrip("?").split("&"):
        key, _, rid = part.partition("=")
        if unquote(key) == "$rid" and rid:
            return unquote(name), rid
    raise ValueError("a method request without $rid")


def method_answer(rid, status):
    """The topic that answers a direct method; `rid` as parse_method gave it."""
    return "$iothub/methods/res/" + str(int(status)) + "/?$rid=" + rid


def _after(name, topic):
    """What of `topic` the # of the filter `name` stands for; None where it does not match."""
    return topic[len(name) - 1 :] if topic.startswith(name[:-1]) else None


def _integer(text, name):
    if text is None:
        return None
    if not text.isdigit():
        raise ValueError("a %s that is no number" % name)
    return int(text)


def dispatch(topic, payload, receipt, own, events, requests):
    """Hand on a PUBLISH to `topic` (bytes): to the Dispatcher `events`, or to the twin request of
    `requests` that it answers. own: the start of this device's own topics.

    True: it is settled later, with `receipt`. ValueError: the topic is not known.
    """
    topic = topic.decode()
    parsed = parse_message(topic, own)
    if parsed is not None:
        message = Message(payload)
        message.input_name, bag = parsed
        decode_message(bag, message)
        events.on_message(message, receipt)
        return True
    parsed = parse_twin_answer(topic)
    if parsed is not None:
        status, rid, version = parsed
        error = None
        if status >= 300:
            error = ServiceError("the hub refused a twin request", "twin", status)
        return answer(requests, rid, (payload, version), error)
    parsed = parse_method(topic)
    if parsed is not None:
        return events.on_method(parsed[0], parsed[1], payload)
    if parse_desired(topic) is not None:
        return events.on_desired(payload)
    raise ValueError("a message on a topic that is not this device's")
