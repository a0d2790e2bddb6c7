"""iothub's Message to and from AMQP's. Contract: docs/protocol/amqp.md, Device links."""

from ..messages import Message
from .codec import Typed
from .composites import PROPERTIES, Composite
from .sections import AmqpMessage

# Attributes of Message that AMQP's properties have under the same name.
_SAME = (
    "message_id", "correlation_id", "content_type", "content_encoding", "to", "subject",
    "reply_to", "group_id", "group_sequence", "reply_to_group_id", "absolute_expiry_time",
    "creation_time",
)  # fmt: skip
_ANNOTATIONS = (
    ("x-opt-output-name", "output_name"),
    ("iothub-interface-id", "iothub_interface_id"),
    ("iothub-creation-time-utc", "creation_time_utc"),
)


def message_to(message):
    """The AmqpMessage of a Message.

    creation_time and absolute_expiry_time are ms since 1970; custom properties may be str, int,
    float, bool, bytes or None. An expiry_time_utc is an application property of that name.
    """
    amqp = AmqpMessage(message.payload())
    fields = {}
    for name in _SAME:
        value = getattr(message, name, None)
        if value is not None:
            fields[name] = value
    if message.user_id is not None:
        user = message.user_id
        fields["user_id"] = user.encode() if isinstance(user, str) else user
    if fields:
        amqp.properties = Composite(PROPERTIES, **fields)
    amqp.application = message.custom_properties
    for annotation, name in _ANNOTATIONS:
        value = getattr(message, name)
        if value is not None:
            amqp.annotations[annotation] = value
    if message.ack is not None:
        amqp.application = dict(amqp.application)
        amqp.application["iothub-ack"] = message.ack
    return amqp


def message_from(amqp):
    """The Message of an AmqpMessage; its annotations are `annotations`, a uuid is its text."""
    body = amqp.body
    message = Message(body)
    for name in _SAME + ("user_id",):
        value = getattr(amqp.properties, name, None)
        setattr(message, name, _uuid(value) if isinstance(value, Typed) else value)
    for name, value in amqp.application.items():
        if name == "iothub-ack":
            message.ack = value
        else:
            message.custom_properties[name] = value
    message.input_name = amqp.annotations.get("x-opt-input-name")
    message.annotations = amqp.annotations
    message.delivery_count = amqp.header.delivery_count if amqp.header is not None else None
    return message


def _uuid(typed):
    digits = "".join(["%02x" % byte for byte in typed.value])
    cuts = (0, 8, 12, 16, 20, 32)
    return "-".join([digits[cuts[i] : cuts[i + 1]] for i in range(5)])
