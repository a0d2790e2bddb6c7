"""IoT Hub's MQTT topics and property bags, as the hub parses and builds them. No I/O.

Source: docs/protocol/mqtt.md, "Topics" and "Property bags".
"""

from urllib.parse import quote, unquote

from ..core.c2d import INPUT_NAME
from ..core.values import text
from .packets import Malformed

METHODS = "$iothub/methods/POST/#"
TWIN_ANSWERS = "$iothub/twin/res/#"
DESIRED = "$iothub/twin/PATCH/properties/desired/#"

_SYSTEM = {
    "$.mid": "message-id",
    "$.cid": "correlation-id",
    "$.uid": "user-id",
    "$.to": "to",
    "$.ct": "content-type",
    "$.ce": "content-encoding",
    "$.exp": "absolute-expiry-time",
}
_ANNOTATIONS = {
    "$.on": "iothub-connection-output-name",
    "$.ifid": "iothub-interface-id",
    "$.sub": "dt-subject",
    "$.ctime": "iothub-creation-time-utc",
    "$.schema": "dt-dataschema",
    "$.cdid": "iothub-creating-device-id",
    "$.cmid": "iothub-creating-module-id",
}
_REQUESTS = (
    ("get", "$iothub/twin/GET/"),
    ("patch", "$iothub/twin/PATCH/properties/reported/"),
    ("method", "$iothub/methods/res/"),
)
_BAG_NAMES = {name: short for short, name in _SYSTEM.items()}


def _prefix(identity):
    """The start of the topics that name an identity."""
    start = f"devices/{identity.device_id}/"
    return f"{start}modules/{identity.module_id}/" if identity.module_id else start


def messages_filter(identity):
    """The filter for C2D messages; a module's covers its inputs too."""
    return _prefix(identity) + ("#" if identity.module_id else "messages/devicebound/#")


def allowed_filters(identity):
    """The filters that this identity may subscribe to."""
    filters = {messages_filter(identity), METHODS, TWIN_ANSWERS, DESIRED}
    return filters | {inputs_filter(identity)} if identity.module_id else filters


def inputs_filter(identity):
    """The filter for a module's inputs alone."""
    return _prefix(identity) + "inputs/#"


def parse_bag(bag):
    """[(name, value or None), …] of a property bag."""
    pairs = []
    try:
        for part in bag.split("&"):
            name, equals, value = part.partition("=")
            if part:
                value = unquote(value, errors="strict") if equals else None
                pairs.append((unquote(name, errors="strict"), value))
    except UnicodeDecodeError:
        raise Malformed("a property of the topic is not UTF-8, percent-encoded") from None
    return pairs


def telemetry_topic(identity):
    """The topic that telemetry is published to, without its property bag."""
    return _prefix(identity) + "messages/events/"


def parse_telemetry(topic, identity):
    """(system, application, annotations) of a telemetry topic; None if it is not one."""
    start = telemetry_topic(identity)
    if not (topic + "/").startswith(start):
        return None
    system, application, annotations = {}, {}, {}
    for name, value in parse_bag(topic[len(start) :]):
        if name in _SYSTEM:
            system[_SYSTEM[name]] = value
        elif name in _ANNOTATIONS:
            annotations[_ANNOTATIONS[name]] = value
        else:
            application[name] = value
    return system, application, annotations


def parse_request(topic):
    """(verb, detail, request id) of a twin request or a method's answer; None if it is neither.

    verb: "get", "patch", or "method" with the status as detail. The request id ($rid) is not
    decoded: it goes back as it came.
    """
    for verb, start in _REQUESTS:
        if topic.startswith(start):
            return verb, *_detail_and_request_id(verb, topic[len(start) :])
    return None


def _detail_and_request_id(verb, rest):
    detail, mark, bag = rest.partition("?")
    detail = detail.rstrip("/")
    if not mark or verb != "method" and detail:
        raise Malformed(f"a {verb} topic does not end with ?$rid={{request id}}")
    if verb == "method" and not (detail.lstrip("-").isdigit() and len(detail) < 11):
        raise Malformed("a method topic's status is not an integer")
    for part in bag.split("&"):
        name, _, request_id = part.partition("=")
        if unquote(name) == "$rid" and request_id:
            return detail, request_id
    raise Malformed(f"a {verb} topic has no $rid, or an empty one")


def c2d_topic(identity, message):
    """The topic of a C2D message, with its properties as the bag."""
    system = {"to": f"/devices/{identity.device_id}/messages/devicebound"}
    system.update(message.properties["system"])
    place = "messages/devicebound/"
    if INPUT_NAME in system:
        del system["to"]
        place = f"inputs/{quote(system[INPUT_NAME], safe='')}/"
    pairs = [(_BAG_NAMES[name], value) for name, value in system.items() if name in _BAG_NAMES]
    if message.properties["ack"] != "none":
        pairs.append(("iothub-ack", message.properties["ack"]))
    pairs += message.properties["application"].items()
    return _prefix(identity) + place + "&".join(map(_pair, pairs))


def _pair(pair):
    name, value = pair
    return quote(name, safe="") + ("" if value is None else "=" + quote(text(value), safe=""))


def twin_answer(status, request_id, version=None):
    tail = "" if version is None else f"&$version={version}"
    return f"$iothub/twin/res/{status}/?$rid={request_id}{tail}"


def desired_patch(version):
    return f"$iothub/twin/PATCH/properties/desired/?$version={version}"


def method_request(name, request_id):
    return f"$iothub/methods/POST/{quote(name, safe='')}/?$rid={request_id}"
