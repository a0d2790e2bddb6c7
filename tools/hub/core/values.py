"""Property values as the hub keeps them: JSON, with the type of values that JSON lacks.

A str, int, float, bool or None is itself. Another value is {"type": AMQP's name, "value": …};
binary values are in base64.
"""

import base64
import datetime
import uuid

from .errors import bad_request

# The types that are named, and the JSON type of their values.
_TYPES = {
    "timestamp": int,
    "char": str,
    "binary": str,
    "uuid": str,
    "decimal32": str,
    "decimal64": str,
    "decimal128": str,
}


def iso(seconds):
    """The time as IoT Hub writes it, from seconds since 1970."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def check(properties, what):
    """HubError 400 unless `properties` is a dict of such values, by name."""
    if not isinstance(properties, dict):
        raise bad_request(f"{what} is not a JSON object")
    for name, value in properties.items():
        if isinstance(value, dict):
            good = set(value) == {"type", "value"} and value["type"] in _TYPES
            good = good and isinstance(value["value"], _TYPES[value["type"]])
        else:
            good = value is None or isinstance(value, (str, int, float))
        if not good or not isinstance(name, str):
            raise bad_request(f"{what}: {str(name)[:50]} has a value that no property may have")


def text(value):
    """A value as text, for a protocol whose properties are strings; None stays None."""
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
    """ms since 1970 of a number, a typed timestamp or ISO 8601 text; None: it is not a time."""
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
