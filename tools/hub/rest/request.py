"""What the REST handlers share: the core, the identity a path names, bodies and ETags."""

import base64
import json

from aiohttp import web

from ..core import Core
from ..core.errors import HubError, bad_request
from ..tls import Contexts

CORE = web.AppKey("core", Core)
AMQP_PORT = web.AppKey("amqp_port", int)
CONTEXTS = web.AppKey("contexts", Contexts)


def admits_itself(handler):
    """Mark a handler that nobody needs a service's token for: it asks for what it wants."""
    handler.admits_itself = True
    return handler


def identity_of(request):
    """The Identity that the path names; HubError 404."""
    parts = request.match_info
    return request.app[CORE].identities.get(parts["device"], parts.get("module"))


async def json_of(request, default=None):
    """The decoded body, or `default` for none; HubError 400."""
    data = await request.read()
    if not data and default is not None:
        return default
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise bad_request("the body is no JSON") from None


async def object_of(request):
    """The decoded body, which must be an object; {} for none."""
    body = await json_of(request, {})
    if not isinstance(body, dict):
        raise bad_request("the body is no JSON object")
    return body


def body_of(fields):
    """The bytes that `body`, base64, stands for in a message's fields; HubError 400."""
    try:
        return base64.b64decode(fields.get("body", ""), validate=True)
    except (ValueError, TypeError):
        raise bad_request("body is not base64") from None


def dict_of(fields, name):
    """fields[name], which must be an object; {} for none. HubError 400."""
    value = fields.get(name)
    if value is not None and not isinstance(value, dict):
        raise bad_request(f"{name} is no object")
    return value or {}


def check_etag(request, current):
    """If-Match comes as "*" with quotes or without, or as a quoted or bare ETag."""
    wanted = request.headers.get("If-Match", "*").strip().strip('"')
    if wanted not in ("*", current):
        raise HubError(412, "PreconditionFailed", "the ETag is another by now", 412001)


def integer(text, name):
    """A small whole number; HubError 400."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise bad_request(f"{name} is no number")
    return int(text)
