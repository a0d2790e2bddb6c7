"""Property bags: the properties of a message, percent-encoded in its MQTT topic.

Contract: docs/protocol/mqtt.md, Property bags.
"""

from ..compat import const, unquote, write_quoted

# A system property's name in the bag, and the attribute of Message that holds it.
_SYSTEM = const(
    (
        ("$.mid", "message_id"),
        ("$.cid", "correlation_id"),
        ("$.uid", "user_id"),
        ("$.to", "to"),
        ("$.ct", "content_type"),
        ("$.ce", "content_encoding"),
        ("$.on", "output_name"),
        ("$.exp", "expiry_time_utc"),
        ("$.ctime", "creation_time_utc"),
        ("$.ifid", "iothub_interface_id"),
        ("iothub-ack", "ack"),
    )
)


def encode_properties(pairs):
    """A property bag from (name, value) pairs or a dict; a value of None becomes a bare name.

    bytes are text in UTF-8; names and values of other types are written with str(). ValueError:
    bytes that are no UTF-8.
    """
    bag = bytearray()
    if hasattr(pairs, "items"):
        pairs = pairs.items()
    for name, value in pairs:
        write_property(bag, 0, name, value)
    return bag.decode()


def write_property(bag, start, name, value):
    """Append a property to the bag that begins at `start` of a bytearray."""
    if len(bag) > start:
        bag.append(38)  # &
    write_quoted(bag, name if isinstance(name, str) else str(name))
    if value is not None:
        bag.append(61)  # =
        if isinstance(value, bytes):
            value = value.decode()  # what is no UTF-8 would cost the connection
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


def telemetry_topic(events, message):
    """The topic of an outgoing Message, as bytes: `events` (bytes) and its property
    bag: the system properties, then its own. Without any it is `events` itself.
    """
    topic, start = events, len(events)
    for name, attribute in _SYSTEM:
        value = getattr(message, attribute)
        if value is not None:
            if topic is events:
                topic = bytearray(events)
            if hasattr(value, "isoformat"):
                value = value.isoformat()
            write_property(topic, start, name, value)
    custom = message.properties
    if custom:
        if topic is events:
            topic = bytearray(events)
        for name in custom:
            write_property(topic, start, name, custom[name])
    return topic


def decode_message(bag, message):
    """Set what `bag` says on an incoming Message."""
    custom = decode_properties(bag)
    for name, attribute in _SYSTEM:
        if name in custom:
            setattr(message, attribute, custom.pop(name))
    message.custom_properties = custom
