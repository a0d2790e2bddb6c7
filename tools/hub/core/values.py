"""Property values as the store keeps them: JSON, with a type beside what JSON cannot hold.

A plain str, int, float, bool or None is itself; another is {"type": its AMQP name, "value": …},
binary values in base64.
"""

import base64
import datetime
import uuid


def iso(seconds):
    """The time as IoT Hub writes it, from seconds since 1970."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text(value):
    """A value as text, for a protocol that has only that; None stays None."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        kind, value = value["type"], value["value"]
        if kind == "timestamp":
            return iso(value / 1000)
        if kind == "uuid":
            return str(uuid.UUID(bytes=base64.b64decode(value)))
    return value if value is None else str(value)


def milliseconds(value):
    """A time in ms since 1970, from a number, a typed timestamp or ISO 8601; None: it is none."""
    if isinstance(value, dict):
        value = value["value"]
    if isinstance(value, str):
        try:
            moment = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return None
        moment = moment.replace(tzinfo=moment.tzinfo or datetime.timezone.utc)
        value = moment.timestamp() * 1000
    return int(value) if isinstance(value, (int, float)) else None
