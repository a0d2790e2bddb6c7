"""IoT Hub's MQTT topics, built and parsed; matched at their start only. Property bags: bags.py.

Source: spec iothub-mqtt. A parser answers None for "not mine", so a router tries them in turn.
"""

from ..quoting import unquote
from .properties import decode_message, decode_properties, encode_properties, telemetry  # noqa: F401

METHODS_FILTER = "$iothub/methods/POST/#"
TWIN_ANSWER_FILTER = "$iothub/twin/res/#"
DESIRED_FILTER = "$iothub/twin/PATCH/properties/desired/#"


def identity(device_id, module_id=None):
    """The start of this device's or module's own topics."""
    if module_id:
        return "devices/" + device_id + "/modules/" + module_id + "/"
    return "devices/" + device_id + "/"


def events(device_id, module_id=None):
    """The telemetry topic, to which the property bag is appended."""
    return identity(device_id, module_id) + "messages/events/"


def messages_filter(device_id, module_id=None):
    """The filter under which C2D messages arrive, and a module's inputs."""
    if module_id:
        return identity(device_id, module_id) + "#"
    return identity(device_id) + "messages/devicebound/#"


def parse_message(topic, own):
    """(input name or None, bag) of a C2D or input message; `own` is identity(…)."""
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


def twin_get(rid):
    """The topic that asks for the whole twin; `rid` must need no encoding."""
    return "$iothub/twin/GET/?$rid=" + rid


def twin_patch(rid):
    """The topic that reports properties; `rid` must need no encoding."""
    return "$iothub/twin/PATCH/properties/reported/?$rid=" + rid


def parse_twin_answer(topic):
    """(status, rid, version or None) of an answer to twin_get or twin_patch."""
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
