"""The paths under /local, which IoT Hub does not have: for the tests, the demo and the tools.

Source: docs/protocol/rest.md, "Local requests".
"""

import asyncio
import base64

from aiohttp import web

from ..core.c2d import INPUT_NAME
from ..core.errors import HubError, bad_request
from ..core.events import partition_of
from .request import CORE, body_of, dict_of, identity_of, object_of

MAX_WAIT = 60


async def events(request):
    """Answer the events of ?device= after position ?after=; wait up to ?wait= seconds for one."""
    core, query = request.app[CORE], request.query
    try:
        after, wait = int(query.get("after", "-1")), float(query.get("wait", "0"))
    except ValueError:
        raise bad_request("after and wait must be numbers") from None
    deadline = asyncio.get_running_loop().time() + min(wait, MAX_WAIT)
    partition = partition_of(query.get("device", ""))
    while True:
        last = core.events.last(partition)
        found = await core.events.of_device(query.get("device", ""), after)
        left = deadline - asyncio.get_running_loop().time()
        if found or left <= 0:
            break
        await core.events.wait_for_more(partition, last, left)
    return web.json_response(
        [{**event, "body": base64.b64encode(event["body"]).decode()} for event in found]
    )


async def abort_session(request):
    """Cut a device's connection as a broken network does."""
    identity = identity_of(request)
    if not identity.connected:
        raise HubError(404, "DeviceNotOnline", f"{identity.name} is not connected", 404103)
    identity.session.abort()
    return web.Response(status=204)


async def abort_readers(request):
    """Cut the connections that read events, as a broken network does."""
    request.app[CORE].events.readers.abort()
    return web.Response(status=204)


async def send_input(request):
    """Send {"body": base64, "properties": …} to an input of a module, as an edge hub does."""
    core, identity, fields = request.app[CORE], identity_of(request), await object_of(request)
    system = {INPUT_NAME: request.match_info["input"]}
    core.send_message(identity, body_of(fields), system, dict_of(fields, "properties"))
    await core.durable()
    return web.Response(status=204)


async def put_authority(request):
    """Let devices connect whose certificates the CA (PEM) in the body has signed."""
    core = request.app[CORE]
    try:
        pem = (await request.read()).decode("ascii")
    except UnicodeDecodeError:
        raise bad_request("the body is not a certificate in PEM form") from None
    core.add_authority(request.match_info["name"], pem)
    await core.durable()
    return web.Response(status=204)


def routes():
    return [
        web.get("/local/events", events),
        web.post("/local/devices/{device}/drop", abort_session),
        web.post("/local/readers/cut", abort_readers),
        web.post("/local/devices/{device}/modules/{module}/inputs/{input}", send_input),
        web.put("/local/authorities/{name}", put_authority),
    ]
