"""JSON bodies of requests, answers and twins: encoded and decoded in one place."""

import json

from .errors import bad_request


def encode(value):
    """The UTF-8 bytes of a value as JSON."""
    return json.dumps(value, ensure_ascii=False).encode()


def decode(body):
    """The value of a JSON body (bytes or str). HubError 400: it is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise bad_request("the body is not valid JSON") from None


def decode_object(body):
    """The dict of a JSON body; {} for an empty body. HubError 400: it is not a JSON object."""
    value = decode(body) if body else {}
    if not isinstance(value, dict):
        raise bad_request("the body is not a JSON object")
    return value
