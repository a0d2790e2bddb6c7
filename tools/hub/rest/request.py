"""Shared by the REST handlers: the core, the identity of a path, bodies and ETags."""

import base64

from aiohttp import web

from ..core import Core, json_body
from ..core.errors import HubError, bad_request
from ..tls import Contexts

CORE = web.AppKey("core", Core)
AMQP_PORT = web.AppKey("amqp_port", int)
CONTEXTS = web.AppKey("contexts", Contexts)


def authenticates_itself(handler):
    """Mark a handler that needs no service token: it checks the caller on its own."""
    handler.authenticates_itself = True
    return handler


def identity_of(request):
    """The Identity that the path names. HubError 404."""
    parts = request.match_info
    return request.app[CORE].identities.get(parts["device"], parts.get("module"))


async def json_of(request):
    """The decoded body. HubError 400."""
    return json_body.decode(await request.read())


async def object_of(request):
    """The decoded body, a dict; {} for an empty body. HubError 400."""
    return json_body.decode_object(await request.read())


def body_of(fields):
    """The bytes of a message whose `body` field is base64. HubError 400."""
    try:
        return base64.b64decode(fields.get("body", ""), validate=True)
    except (ValueError, TypeError):
        raise bad_request("body must be base64") from None


def dict_of(fields, name):
    """fields[name], a dict; {} if it is missing or null. HubError 400."""
    value = fields.get(name)
    if value is not None and not isinstance(value, dict):
        raise bad_request(f"{name} must be a JSON object")
    return value or {}


def check_etag(request, current):
    """HubError 412 unless If-Match is absent, * or the current ETag, with quotes or without."""
    wanted = request.headers.get("If-Match", "*").strip().strip('"')
    if wanted not in ("*", current):
        raise HubError(
            412,
            "PreconditionFailed",
            "If-Match is not the current ETag: read the resource again",
            412001,
        )


def integer(text, name):
    """The int of up to nine digits. HubError 400."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise bad_request(f"{name} must be a whole number of at most nine digits")
    return int(text)
