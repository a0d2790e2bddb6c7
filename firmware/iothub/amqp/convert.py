"""iothub's Message to and from AMQP's. Contract: docs/protocol/amqp.md, Device links."""

from ..messages import AMQP_ONLY, Message
from .codec import Typed
from .composites import PROPERTIES, Composite
from .sections import AmqpMessage

# Attributes of Message that AMQP's properties have under the same name.
_SAME = ("message_id", "correlation_id", "content_type", "content_encoding", "to") + AMQP_ONLY
_ANNOTATIONS = (
    ("x-opt-output-name", "output_name"),
    ("iothub-interface-id", "iothub_interface_id"),
    ("iothub-creation-time-utc", "creation_time_utc"),
)


def message_to(message):
    """The AmqpMessage of a Message.

    creation_time and absolute_expiry_time are ms since 1970; an expiry_time_utc is sent as the
    latter, unless that is set too. Custom properties may be str, int, float, bool, bytes or None.
    ValueError: expiry_time_utc is no time.
    """
    amqp = AmqpMessage(message.payload())
    fields = {}
    for name in _SAME:
        value = getattr(message, name)
        if value is not None:
            fields[name] = value
    if message.expiry_time_utc is not None and message.absolute_expiry_time is None:
        from .times import milliseconds

        fields["absolute_expiry_time"] = milliseconds(message.expiry_time_utc)
    if message.user_id is not None:
        user = message.user_id
        fields["user_id"] = user.encode() if isinstance(user, str) else user
    if fields:
        amqp.properties = Composite(PROPERTIES, **fields)
    amqp.application = message.custom_properties
    for annotation, name in _ANNOTATIONS:
        value = getattr(message, name)
        if value is not None:
            value = value.isoformat() if hasattr(value, "isoformat") else value
            amqp.annotations[annotation] = value
    if message.ack is not None:
        amqp.application = dict(amqp.application)
        amqp.application["iothub-ack"] = message.ack
    return amqp


def message_from(amqp):
    """The Message of an AmqpMessage; its annotations are `annotations`. A uuid, and a user_id in
    UTF-8, is its text.
    """
    body = amqp.body
    message = Message(body)
    for name in _SAME:
        value = getattr(amqp.properties, name, None)
        if value is not None:
            setattr(message, name, _uuid(value) if isinstance(value, Typed) else value)
    user = getattr(amqp.properties, "user_id", None)
    if user is not None:
        try:
            message.user_id = user.decode()
        except UnicodeError:
            message.user_id = user
    if message.absolute_expiry_time is not None:
        from .times import iso

        message.expiry_time_utc = iso(message.absolute_expiry_time)
    for name, value in amqp.application.items():
        if name == "iothub-ack":
            message.ack = value
        else:
            message.custom_properties[name] = value
    for annotation, name in _ANNOTATIONS:
        if annotation in amqp.annotations:
            setattr(message, name, amqp.annotations[annotation])
    message.input_name = amqp.annotations.get("x-opt-input-name")
    message.annotations = amqp.annotations
    message.delivery_count = amqp.header.delivery_count if amqp.header is not None else None
    return message


def _uuid(typed):
    digits = "".join(["%02x" % byte for byte in typed.value])
    cuts = (0, 8, 12, 16, 20, 32)
    return "-".join([digits[cuts[i] : cuts[i + 1]] for i in range(5)])
