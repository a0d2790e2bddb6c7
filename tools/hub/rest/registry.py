"""The registry over REST: devices and modules one by one and in bulk, queries, statistics,
configurations. Source: spec sdk-expectations, "REST".
"""

import json
import secrets

from aiohttp import web

from ..core.errors import HubError, bad_request
from ..core.identities import check_shape
from ..core.query import Query
from .request import CORE, check_etag, identity_of, integer, json_of, object_of

_PAGE = 100
_MAX_BULK = 100


def _record(identity):
    """An identity in the REST API's shape."""
    connected = "Connected" if identity.connection else "Disconnected"
    return {
        **identity.record,
        "connectionState": connected,
        "connectionStateUpdatedTime": "0001-01-01T00:00:00Z",
        "lastActivityTime": "0001-01-01T00:00:00Z",
        "cloudToDeviceMessageCount": len(identity.queue),
    }


async def put_identity(request):
    core, parts = request.app[CORE], request.match_info
    device_id, module_id = parts["device"], parts.get("module")
    wanted = await object_of(request)
    identity = core.identities.find(device_id, module_id)
    if identity is None:
        identity = core.create(device_id, module_id, wanted)
    elif "If-Match" in request.headers:
        check_etag(request, identity.record["etag"])
        core.update(identity, wanted)
    else:
        raise HubError(409, "DeviceAlreadyExists", f"{identity.name} exists already", 409001)
    await core.durable()
    return web.json_response(_record(identity))


async def get_identity(request):
    return web.json_response(_record(identity_of(request)))


async def delete_identity(request):
    core, identity = request.app[CORE], identity_of(request)
    check_etag(request, identity.record["etag"])
    core.delete(identity)
    await core.durable()
    return web.Response(status=204)


async def list_devices(request):
    top = integer(request.query.get("top", "1000"), "top")
    devices = request.app[CORE].identities.devices()
    return web.json_response([_record(device) for device in devices[:top]])


async def list_modules(request):
    identity = identity_of(request)
    modules = request.app[CORE].identities.modules(identity.device_id)
    return web.json_response([_record(module) for module in modules])


async def device_statistics(request):
    devices = request.app[CORE].identities.devices()
    enabled = sum(device.enabled for device in devices)
    body = {
        "totalDeviceCount": len(devices),
        "enabledDeviceCount": enabled,
        "disabledDeviceCount": len(devices) - enabled,
    }
    return web.json_response(body)


async def service_statistics(request):
    devices = request.app[CORE].identities.devices()
    connected = sum(device.connection is not None for device in devices)
    return web.json_response({"connectedDeviceCount": connected})


# -- bulk -------------------------------------------------------------------------------------


async def bulk(request):
    """[{"id", "importMode", …}]: each is done or named among the errors."""
    core, entries = request.app[CORE], await json_of(request)
    if not isinstance(entries, list) or len(entries) > _MAX_BULK:
        raise bad_request(f"the body is no list of at most {_MAX_BULK} devices")
    problems = []
    for entry in entries:
        try:
            _import(core, entry)
        except HubError as error:
            device_id = entry.get("id") if isinstance(entry, dict) else None
            problems.append(
                {"deviceId": device_id, "errorCode": error.name, "errorStatus": str(error)}
            )
    await core.durable()
    body = {"isSuccessful": not problems, "errors": problems, "warnings": []}
    return web.json_response(body, status=200 if not problems else 400)


def _import(core, entry):
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
        raise bad_request("an entry has no id")
    check_shape(entry.get("moduleId"), str, "moduleId")
    mode = str(entry.get("importMode") or "create").lower()
    found = core.identities.find(entry["id"], entry.get("moduleId"))
    if mode in ("delete", "deleteifmatchetag"):
        core.delete(found or core.identities.get(entry["id"], entry.get("moduleId")))
    elif mode in ("update", "updateifmatchetag"):
        core.update(found or core.identities.get(entry["id"], entry.get("moduleId")), entry)
    elif mode == "createorupdate" and found is not None:
        core.update(found, entry)
    elif mode in ("create", "createorupdate"):
        core.create(entry["id"], entry.get("moduleId"), entry)
    else:
        raise bad_request(f"importMode {mode[:40]} is unknown")


# -- query ------------------------------------------------------------------------------------


async def query(request):
    """A page of twins; x-ms-continuation leads to the next."""
    core, body = request.app[CORE], await object_of(request)
    text = body.get("query")
    if not isinstance(text, str):
        raise bad_request("query is missing")
    wanted = Query(text)
    twins = (
        core.twin(identity)
        for identity in core.identities.every()
        if bool(identity.module_id) == wanted.modules
    )
    found = [wanted.project(twin) for twin in twins if wanted.matches(twin)]
    start = integer(request.headers.get("x-ms-continuation") or "0", "x-ms-continuation")
    size = integer(request.headers.get("x-ms-max-item-count") or str(_PAGE), "x-ms-max-item-count")
    end = start + (size or _PAGE)
    headers = {"x-ms-item-type": "Twin" if wanted.fields is None else "Raw"}
    if end < len(found):
        headers["x-ms-continuation"] = str(end)
    return web.json_response(found[start:end], headers=headers)


# -- configurations: kept and given back, not applied -----------------------------------------


async def list_configurations(request):
    top = integer(request.query.get("top", "20"), "top")
    return web.json_response(list(request.app[CORE].configurations.values())[:top])


async def get_configuration(request):
    return web.json_response(_configuration(request))


async def put_configuration(request):
    core, name = request.app[CORE], request.match_info["id"]
    body = await object_of(request)
    now = core.stamp()
    before = core.configurations.get(name)
    if before is not None:
        if "If-Match" not in request.headers:
            raise HubError(409, "ConfigurationAlreadyExists", f"{name} exists already", 409201)
        check_etag(request, before["etag"])
    stored = {
        **body,
        "id": name,
        "createdTimeUtc": before["createdTimeUtc"] if before else now,
        "lastUpdatedTimeUtc": now,
        "etag": secrets.token_urlsafe(8),
    }
    core.configurations[name] = stored
    value = json.dumps(stored, ensure_ascii=False)
    core.store.put("REPLACE INTO configurations VALUES (?, ?)", name, value)
    await core.durable()
    return web.json_response(stored)


async def delete_configuration(request):
    core, stored = request.app[CORE], _configuration(request)
    check_etag(request, stored["etag"])
    del core.configurations[stored["id"]]
    core.store.put("DELETE FROM configurations WHERE name = ?", stored["id"])
    await core.durable()
    return web.Response(status=204)


def _configuration(request):
    name = request.match_info["id"]
    stored = request.app[CORE].configurations.get(name)
    if stored is None:
        raise HubError(404, "ConfigurationNotFound", f"{name} does not exist", 404201)
    return stored


def routes():
    """The registry's paths."""
    device, module = "/devices/{device}", "/devices/{device}/modules/{module}"
    table = []
    for path in (device, module):
        table += [
            web.put(path, put_identity),
            web.get(path, get_identity),
            web.delete(path, delete_identity),
        ]
    return [
        web.get("/devices", list_devices),
        web.get("/devices/", list_devices),
        web.post("/devices", bulk),
        web.post("/devices/query", query),
        web.get(device + "/modules", list_modules),
        web.get("/statistics/devices", device_statistics),
        web.get("/statistics/service", service_statistics),
        web.get("/configurations", list_configurations),
        web.get("/configurations/{id}", get_configuration),
        web.put("/configurations/{id}", put_configuration),
        web.delete("/configurations/{id}", delete_configuration),
        *table,
    ]
