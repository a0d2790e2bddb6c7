"""IoT Hub's MQTT topics: built, parsed, and handed on to the events that they mean.

They are matched at their start only. Loaded with the first feature beyond telemetry. Contract:
docs/protocol/mqtt.md.
"""

from ..compat import const, unquote
from ..messages import Message
from ..pending import answer
from .properties import decode_message, decode_properties

_TWIN = const("$iothub/twin/res/")
_METHOD = const("$iothub/methods/POST/")
_DESIRED = const("$iothub/twin/PATCH/properties/desired/")


def filter_of(feature, own):
    """(topic filter, QoS) of a feature; `own`: the start of the device's own topics."""
    if feature == "messages":  # those of a module are its inputs
        return own + ("#" if "/modules/" in own else "messages/devicebound/#"), 1
    return {"methods": _METHOD, "twin": _TWIN, "desired": _DESIRED}[feature] + "#", 0


def twin_request(rid, patch=None):
    """The topic that asks for the whole twin, or reports a patch; `rid` must need no encoding."""
    what = "GET" if patch is None else "PATCH/properties/reported"
    return "$iothub/twin/" + what + "/?$rid=" + rid


def method_answer(rid, status):
    """The topic that answers a direct method; `rid` as parse() gave it."""
    return "$iothub/methods/res/" + str(int(status)) + "/?$rid=" + rid


def parse(topic, own):
    """The meaning of a topic, as one of these, or None: it is not this device's.

    ("message", input name or None, property bag); ("twin", status, rid, version or None), an
    answer; ("method", name, rid to be echoed unchanged); ("desired", version or None), a patch.
    ValueError: it is malformed.
    """
    if topic.startswith(own):
        return _parse_own(topic[len(own) :])
    if topic.startswith(_TWIN):
        status, _, bag = topic[len(_TWIN) :].partition("/")
        bag = decode_properties(bag)
        return "twin", _number(status), bag.get("$rid"), _number(bag.get("$version"))
    if topic.startswith(_METHOD):
        name, _, bag = topic[len(_METHOD) :].partition("/")
        for part in bag.lstrip("?").split("&"):
            key, _, rid = part.partition("=")
            if unquote(key) == "$rid" and rid:
                return "method", unquote(name), rid
        raise ValueError("a method request without $rid")
    if topic.startswith(_DESIRED):
        return "desired", _number(decode_properties(topic[len(_DESIRED) :]).get("$version"))
    return None


def _parse_own(rest):
    """A cloud-to-device message, or a module's input."""
    if rest.startswith("messages/devicebound"):
        bag = rest[len("messages/devicebound") :]
        if not bag or bag[0] == "/":
            return "message", None, bag[1:]
    elif rest.startswith("inputs/"):
        name, _, bag = rest[len("inputs/") :].partition("/")
        return "message", unquote(name), bag
    return None


def _number(text):
    if text is not None and not text.isdigit():
        raise ValueError("a status or $version that is no number")
    return text and int(text)


def dispatch(topic, payload, receipt, own, events, requests):
    """Hand on a PUBLISH to `topic` (bytes): to the Dispatcher `events`, or to the twin request of
    `requests` that it answers. own: the start of this device's own topics.

    True: it is settled later, with `receipt`. ValueError: the topic is not known.
    """
    parsed = parse(topic.decode(), own)
    kind = parsed and parsed[0]
    if kind == "message":
        message = Message(payload)
        message.input_name = parsed[1]
        decode_message(parsed[2], message)
        events.on_message(message, receipt)
        return True
    if kind == "twin":
        _, status, rid, version = parsed
        error = None
        if status >= 300:
            from ..errors import ServiceError

            error = ServiceError("the hub refused a twin request", "twin", status)
        return answer(requests, rid, (payload, version), error)
    if kind == "method":
        return events.on_method(parsed[1], parsed[2], payload)
    if kind == "desired":
        return events.on_desired(payload)
    raise ValueError("a message on a topic that is not this device's")
