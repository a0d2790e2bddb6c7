"""Twin queries over REST, page by page.

Source: docs/protocol/rest.md, "Queries".
"""

from aiohttp import web

from ..core.errors import bad_request
from ..core.query import Query
from .request import CORE, integer, object_of

_PAGE = 100


async def query(request):
    """Answer one page of rows; x-ms-continuation is the token of the next page."""
    core, body = request.app[CORE], await object_of(request)
    text = body.get("query")
    if not isinstance(text, str):
        raise bad_request("the body must have a query, as a string")
    parsed = Query(text)
    twins = (
        core.twin(identity)
        for identity in core.identities.every()
        if bool(identity.module_id) == parsed.modules
    )
    found = [parsed.project(twin) for twin in twins if parsed.matches(twin)]
    start = integer(request.headers.get("x-ms-continuation") or "0", "x-ms-continuation")
    size = integer(request.headers.get("x-ms-max-item-count") or str(_PAGE), "x-ms-max-item-count")
    end = start + (size or _PAGE)
    headers = {"x-ms-item-type": "Twin" if parsed.fields is None else "Raw"}
    if end < len(found):
        headers["x-ms-continuation"] = str(end)
    return web.json_response(found[start:end], headers=headers)


def routes():
    return [web.post("/devices/query", query)]
