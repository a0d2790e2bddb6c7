"""Automatic device configurations over REST. The hub keeps them and applies none.

Source: docs/protocol/rest.md, "Configurations".
"""

from aiohttp import web

from ..core.errors import HubError
from .request import CORE, check_etag, integer, object_of


async def list_configurations(request):
    top = integer(request.query.get("top", "20"), "top")
    return web.json_response(request.app[CORE].configurations.every()[:top])


async def get_configuration(request):
    found = request.app[CORE].configurations.get(request.match_info["id"])
    return web.json_response(found)


async def put_configuration(request):
    """Create a configuration; with If-Match, replace it."""
    core, name = request.app[CORE], request.match_info["id"]
    body = await object_of(request)
    before = core.configurations.find(name)
    if before is not None:
        if "If-Match" not in request.headers:
            reason = f"{name} exists already: send If-Match to replace it"
            raise HubError(409, "ConfigurationAlreadyExists", reason, 409201)
        check_etag(request, before["etag"])
    kept = core.configurations.put(name, body)
    await core.durable()
    return web.json_response(kept)


async def delete_configuration(request):
    core, name = request.app[CORE], request.match_info["id"]
    check_etag(request, core.configurations.get(name)["etag"])
    core.configurations.delete(name)
    await core.durable()
    return web.Response(status=204)


def routes():
    path = "/configurations/{id}"
    return [
        web.get("/configurations", list_configurations),
        web.get(path, get_configuration),
        web.put(path, put_configuration),
        web.delete(path, delete_configuration),
    ]
