"""IoT Hub's MQTT topics and property bags, built and parsed; matched at their start only.

Source: spec iothub-mqtt. A parser answers None for "not mine", so a router tries them in turn.
"""

from .text import unquote, write_quoted

METHODS_FILTER = "$iothub/methods/POST/#"
TWIN_ANSWER_FILTER = "$iothub/twin/res/#"
DESIRED_FILTER = "$iothub/twin/PATCH/properties/desired/#"

# A system property's name in the bag, and the attribute of Message that holds it.
_SYSTEM = (
    ("$.mid", "message_id"),
    ("$.cid", "correlation_id"),
    ("$.uid", "user_id"),
    ("$.ct", "content_type"),
    ("$.ce", "content_encoding"),
    ("$.on", "output_name"),
    ("$.exp", "expiry_time_utc"),
    ("$.ctime", "creation_time_utc"),
    ("$.ifid", "iothub_interface_id"),
)


def encode_properties(pairs):
    """A property bag from (name, value) pairs or a dict; a value of None becomes a bare name.

    Names and values that are no str are written with str().
    """
    bag = bytearray()
    if hasattr(pairs, "items"):
        pairs = pairs.items()
    for name, value in pairs:
        _write_property(bag, 0, name, value)
    return bag.decode()


def _write_property(bag, start, name, value):
    """Append a property to the bag that begins at `start` of a bytearray."""
    if len(bag) > start:
        bag.append(38)  # &
    write_quoted(bag, name if isinstance(name, str) else str(name))
    if value is not None:
        bag.append(61)  # =
        write_quoted(bag, value if isinstance(value, str) else str(value))


def decode_properties(bag):
    """{name: value} of a property bag (str): None for `key`, "" for `key=`; a last one wins.

    A leading "?" or "/?" is dropped. ValueError: a name or value is not UTF-8.
    """
    if bag.startswith("/?"):
        bag = bag[2:]
    elif bag.startswith("?"):
        bag = bag[1:]
    properties = {}
    for part in bag.split("&"):
        if part:
            name, equals, value = part.partition("=")
            properties[unquote(name)] = unquote(value) if equals else None
    return properties


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


def telemetry(events, message):
    """The topic of an outgoing Message, as bytes: `events`, which is events(…) as bytes, and its
    property bag: the system properties, then its own. Without any it is `events` itself.
    """
    topic, start = events, len(events)
    for name, attribute in _SYSTEM:
        value = getattr(message, attribute)
        if value is not None:
            if topic is events:
                topic = bytearray(events)
            if hasattr(value, "isoformat"):
                value = value.isoformat()
            _write_property(topic, start, name, value)
    custom = message._custom
    if custom:
        if topic is events:
            topic = bytearray(events)
        for name in custom:
            _write_property(topic, start, name, custom[name])
    return topic


def decode_message(bag, message):
    """Set what `bag` says on an incoming Message."""
    custom = decode_properties(bag)
    for name, attribute in _SYSTEM:
        if name in custom:
            setattr(message, attribute, custom.pop(name))
    message.ack = custom.pop("iothub-ack", None)
    custom.pop("$.to", None)  # only ever this device's own address
    message.custom_properties = custom


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
