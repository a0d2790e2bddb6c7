"""Under /local: what IoT Hub has no REST call for, and the tests, the demo and the tools need."""

import asyncio
import base64

from aiohttp import web

from ..core.c2d import INPUT_NAME
from ..core.errors import HubError, bad_request
from ..core.events import partition_of
from .request import CORE, body_of, dict_of, identity_of, object_of

MAX_WAIT = 60


async def events(request):
    """The events of ?device= after position ?after=; waits up to ?wait= seconds for the first."""
    core, query = request.app[CORE], request.query
    after = int(query.get("after", "-1"))
    give_up = asyncio.get_running_loop().time() + min(float(query.get("wait", "0")), MAX_WAIT)
    partition = partition_of(query.get("device", ""))
    while True:
        last = core.events.last(partition)
        found = await core.events.of_device(query.get("device", ""), after)
        left = give_up - asyncio.get_running_loop().time()
        if found or left <= 0:
            break
        await core.events.wait_for_more(partition, last, left)
    return web.json_response(
        [{**event, "body": base64.b64encode(event["body"]).decode()} for event in found]
    )


async def drop(request):
    """Cut a device's connection as a broken network would."""
    identity = identity_of(request)
    if identity.connection is None:
        raise HubError(404, "DeviceNotOnline", f"{identity.name} is not connected", 404103)
    identity.connection.drop()
    return web.Response(status=204)


async def cut_readers(request):
    """Cut the connections that read events, as a broken network would."""
    for reader in list(request.app[CORE].events.readers):
        reader.cut()
    return web.Response(status=204)


async def send_input(request):
    """Hand {"body": base64, "properties": …} to an input of a module, as an edge hub would."""
    core, identity, fields = request.app[CORE], identity_of(request), await object_of(request)
    system = {INPUT_NAME: request.match_info["input"]}
    core.send_message(identity, body_of(fields), system, dict_of(fields, "properties"))
    await core.durable()
    return web.Response(status=204)


async def put_authority(request):
    """Register the CA (PEM) in the body: the devices whose certificates it signed may connect."""
    core = request.app[CORE]
    try:
        pem = (await request.read()).decode("ascii")
    except UnicodeDecodeError:
        raise bad_request("that is no certificate in PEM") from None
    core.add_authority(request.match_info["name"], pem)
    await core.durable()
    return web.Response(status=204)


def routes():
    return [
        web.get("/local/events", events),
        web.post("/local/devices/{device}/drop", drop),
        web.post("/local/readers/cut", cut_readers),
        web.post("/local/devices/{device}/modules/{module}/inputs/{input}", send_input),
        web.put("/local/authorities/{name}", put_authority),
    ]
