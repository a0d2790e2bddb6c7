"""Conversion of messages between AMQP's types and the core's property values (core/values.py).

Source: docs/protocol/amqp.md, "Message properties".
"""

import base64

from iothub.amqp.codec import Typed
from iothub.amqp.composites import HEADER, Composite
from iothub.amqp.sections import AmqpMessage

from ..core.c2d import INPUT_NAME
from ..core.errors import bad_request
from ..core.values import milliseconds, text

_PROPERTIES = (
    "message-id", "user-id", "to", "subject", "reply-to", "correlation-id", "content-type",
    "content-encoding", "absolute-expiry-time", "creation-time", "group-id", "group-sequence",
    "reply-to-group-id",
)  # fmt: skip
_TIMES = ("absolute-expiry-time", "creation-time")
_SYMBOLS = ("content-type", "content-encoding")
_PLAIN = ("symbol", "ubyte", "byte", "ushort", "short", "uint", "int", "ulong", "float")
# Annotations of a device's message, and the annotations of its event that they become.
_ANNOTATIONS = {
    "x-opt-output-name": "iothub-connection-output-name",
    "iothub-interface-id": "iothub-interface-id",
    "iothub-creation-time-utc": "iothub-creation-time-utc",
    "dt-subject": "dt-subject",
    "dt-dataschema": "dt-dataschema",
}


def plain(value):
    """An AMQP value as the core keeps it. HubError 400: a list, map or array."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, bytes):
        return {"type": "binary", "value": base64.b64encode(value).decode()}
    if isinstance(value, Typed):
        if value.kind in _PLAIN:
            return value.value
        if value.kind in ("timestamp", "char"):
            return {"type": value.kind, "value": value.value}
        if isinstance(value.value, bytes):
            return {"type": value.kind, "value": base64.b64encode(value.value).decode()}
    raise bad_request("a property must not be a list, a map or an array")


def typed(value):
    """The AMQP value of a value from plain()."""
    if not isinstance(value, dict):
        return value
    kind, value = value["type"], value["value"]
    if kind in ("timestamp", "char"):
        return Typed(kind, value)
    raw = base64.b64decode(value)
    return raw if kind == "binary" else Typed(kind, raw)


def system_of(message):
    """The system properties of an AmqpMessage, by their AMQP names."""
    system = {}
    for name in _PROPERTIES if message.properties else ():
        value = getattr(message.properties, name.replace("-", "_"))
        if value is None:
            continue
        if name in _TIMES:
            value = Typed("timestamp", value)
        elif name == "user-id":
            try:
                value = value.decode()
            except UnicodeDecodeError:
                pass
        system[name] = plain(value)
    return system


def application_of(message):
    """The application properties of an AmqpMessage."""
    application = {}
    for name, value in message.application.items():
        if not isinstance(name, str):
            raise bad_request("the name of an application property must be a string")
        application[name] = plain(value)
    return application


def annotations_of(message):
    """The annotations of a device's message that its event keeps."""
    return {
        _ANNOTATIONS[name]: text(plain(value))
        for name, value in message.annotations.items()
        if name in _ANNOTATIONS
    }


def body_of(message):
    """The bytes of a message's body; a string is encoded as UTF-8. HubError 400."""
    body = message.body
    if isinstance(body, str):
        return body.encode()
    if not isinstance(body, bytes):
        raise bad_request("the body must be data sections or a string")
    return body


def build(body, system, application):
    """An AmqpMessage from the core's properties."""
    fields = {}
    for name in _PROPERTIES:
        value = system.get(name)
        if value is None:
            continue
        if name in _TIMES:
            value = milliseconds(value)
        elif name == "user-id":
            value = typed(value)
            value = value if isinstance(value, bytes) else str(value).encode()
        elif name in _SYMBOLS:
            value = text(value).encode("ascii", "replace").decode()
        elif name in ("message-id", "correlation-id"):
            value = typed(value)
        elif name == "group-sequence":
            value = int(value)
        else:
            value = text(value)
        fields[name.replace("-", "_")] = value
    message = AmqpMessage(body, **fields)
    message.application = {name: typed(value) for name, value in application.items()}
    return message


def of_event(event):
    """The AmqpMessage for an event from the log."""
    message = build(event["body"], event["system"], event["application"])
    message.annotations = {
        "x-opt-sequence-number": event["sequenceNumber"],
        "x-opt-offset": str(event["position"]),
        "x-opt-enqueued-time": Typed("timestamp", int(event["enqueued"] * 1000)),
    }
    message.annotations.update(event["annotations"])
    enqueued = event["annotations"].get("iothub-enqueuedtime")
    if enqueued is not None:
        message.annotations["iothub-enqueuedtime"] = Typed("timestamp", enqueued)
    return message


def of_c2d(waiting, to):
    """The AmqpMessage for a cloud-to-device message from a queue."""
    properties = waiting.properties
    message = build(waiting.body, {**properties["system"], "to": to}, properties["application"])
    if properties["ack"] != "none":
        message.application["iothub-ack"] = properties["ack"]
    if INPUT_NAME in properties["system"]:
        message.annotations["x-opt-input-name"] = properties["system"][INPUT_NAME]
    message.header = Composite(HEADER, delivery_count=waiting.deliveries - 1)
    message.annotations.update(
        {
            "x-opt-sequence-number": waiting.number,
            "x-opt-enqueued-time": Typed("timestamp", int(properties["enqueued"] * 1000)),
            "iothub-deliverycount": Typed("uint", waiting.deliveries - 1),
        }
    )
    return message
