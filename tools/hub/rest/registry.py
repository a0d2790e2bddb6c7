"""The identity registry over REST: devices and modules, one by one and in bulk, and statistics.

Source: docs/protocol/rest.md, "Device registry" and "Bulk".
"""

from aiohttp import web

from ..core.errors import HubError, bad_request
from ..core.identities import check_shape
from .request import CORE, check_etag, identity_of, integer, json_of, object_of

_MAX_BULK = 100


def _record(identity):
    """An identity as the REST API shows it."""
    return {
        **identity.record,
        "connectionState": identity.connection_state,
        "connectionStateUpdatedTime": "0001-01-01T00:00:00Z",
        "lastActivityTime": "0001-01-01T00:00:00Z",
        "cloudToDeviceMessageCount": len(identity.queue),
    }


async def put_identity(request):
    """Create an identity; with If-Match, change it."""
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
    connected = sum(device.connected for device in devices)
    return web.json_response({"connectedDeviceCount": connected})


# -- bulk -------------------------------------------------------------------------------------


async def bulk(request):
    """Import [{"id", "importMode", …}]; the answer lists the entries that failed."""
    core, entries = request.app[CORE], await json_of(request)
    if not isinstance(entries, list) or len(entries) > _MAX_BULK:
        raise bad_request(f"the body must be a list of at most {_MAX_BULK} devices")
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
        raise bad_request("each entry must be an object with an id")
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
        raise bad_request(f"importMode {mode[:40]} is not supported")


def routes():
    """The paths of the registry."""
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
        web.get(device + "/modules", list_modules),
        web.get("/statistics/devices", device_statistics),
        web.get("/statistics/service", service_statistics),
        *table,
    ]
