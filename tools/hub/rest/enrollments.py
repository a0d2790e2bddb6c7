"""DPS over REST: enrollments and enrollment groups.

Source: docs/protocol/provisioning.md, "Enrollments".
"""

from aiohttp import web

from ..core.provisioning import KINDS
from .request import CORE, check_etag, object_of


def _handlers(kind):
    """The handlers for one of KINDS: put, get, delete, list."""

    def provisioning(request):
        return request.app[CORE].provisioning

    async def put(request):
        enrollment = provisioning(request).put(
            kind, request.match_info["name"], await object_of(request)
        )
        await request.app[CORE].durable()
        return web.json_response(enrollment)

    async def get(request):
        return web.json_response(provisioning(request).get(kind, request.match_info["name"]))

    async def delete(request):
        name = request.match_info["name"]
        check_etag(request, provisioning(request).get(kind, name)["etag"])
        provisioning(request).delete(kind, name)
        await request.app[CORE].durable()
        return web.Response(status=204)

    async def every(request):
        return web.json_response(provisioning(request).every(kind))

    return put, get, delete, every


def routes():
    table = []
    for kind in KINDS:
        put, get, delete, every = _handlers(kind)
        path = f"/{kind}/{{name}}"
        table += [
            web.put(path, put),
            web.get(path, get),
            web.delete(path, delete),
            web.post(f"/{kind}/query", every),
        ]
    return table
