"""The service's side over HTTPS: registry, twins, methods and messages, on IoT Hub's paths.

What IoT Hub has no REST call for, and the tests and the demo need, is under /local.
Source: spec sdk-expectations, "REST".
"""

import asyncio
import base64
import contextlib
import datetime
import json
import logging
import ssl
from uuid import uuid4

from aiohttp import web

from . import auth
from .core import Core
from .errors import HubError, bad_request

log = logging.getLogger("hub.rest")

CORE = web.AppKey("core", Core)

MAX_BODY = 4 * 1024 * 1024
MAX_WAIT = 60
LOCAL_C2D = "application/vnd.local-hub.c2d+json"
_C2D_HEADERS = {
    "iothub-messageid": "message-id",
    "iothub-correlationid": "correlation-id",
    "iothub-userid": "user-id",
    "iothub-contenttype": "content-type",
    "iothub-contentencoding": "content-encoding",
}


@web.middleware
async def errors(request, handler):
    """Authenticate, serve, and say a refusal in IoT Hub's shape."""
    try:
        _authenticate(request)
        return await handler(request)
    except HubError as error:
        log.info("%s %s: %d %s: %s", request.method, request.path, error.status, error.name, error)
        body = {
            "Message": f"ErrorCode:{error.name};{error}",
            "ExceptionMessage": f"Tracking ID:{uuid4().hex}",
        }
        headers = {"iothub-errorcode": error.name}
        return web.json_response(body, status=error.status, headers=headers)


def _authenticate(request):
    core = request.app[CORE]
    token = request.headers.get("Authorization", "")
    policy = auth.policy_of(token)
    key = core.policy_keys.get(policy)
    if key is None:
        raise auth.TokenError("the token names no policy of this hub")
    host = request.host.lower()
    auth.verify(token, [key], core.clock(), {host, host.rpartition(":")[0] or host})


def _identity(request):
    parts = request.match_info
    return request.app[CORE].identities.get(parts["device"], parts.get("module"))


async def _json(request, default=None):
    data = await request.read()
    if not data and default is not None:
        return default
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise bad_request("the body is no JSON") from None


async def _object(request):
    body = await _json(request, {})
    if not isinstance(body, dict):
        raise bad_request("the body is no JSON object")
    return body


def _check_etag(request, current):
    """If-Match comes as "*" with quotes or without, or as a quoted or bare ETag."""
    wanted = request.headers.get("If-Match", "*").strip().strip('"')
    if wanted not in ("*", current):
        raise HubError(412, "PreconditionFailed", "the ETag is another by now", 412001)


# -- registry ---------------------------------------------------------------------------------


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
    wanted = await _object(request)
    identity = core.identities.find(device_id, module_id)
    if identity is None:
        identity = core.create(device_id, module_id, wanted)
    elif "If-Match" in request.headers:
        _check_etag(request, identity.record["etag"])
        core.update(identity, wanted)
    else:
        raise HubError(409, "DeviceAlreadyExists", f"{identity.name} exists already", 409001)
    await core.durable()
    return web.json_response(_record(identity))


async def get_identity(request):
    return web.json_response(_record(_identity(request)))


async def delete_identity(request):
    core, identity = request.app[CORE], _identity(request)
    _check_etag(request, identity.record["etag"])
    core.delete(identity)
    await core.durable()
    return web.Response(status=204)


async def list_devices(request):
    top = _integer(request.query.get("top", "1000"), "top")
    devices = request.app[CORE].identities.devices()
    return web.json_response([_record(device) for device in devices[:top]])


async def list_modules(request):
    identity = _identity(request)
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


def _integer(text, name):
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise bad_request(f"{name} is no number")
    return int(text)


# -- twins and methods ------------------------------------------------------------------------


async def get_twin(request):
    core, identity = request.app[CORE], _identity(request)
    return web.json_response(core.twin(identity))


async def change_twin(request):
    """PATCH merges, PUT replaces."""
    core, identity = request.app[CORE], _identity(request)
    _check_etag(request, core.twin(identity)["etag"])
    core.patch_twin(identity, await _object(request), replace=request.method == "PUT")
    await core.durable()
    return web.json_response(core.twin(identity))


async def invoke_method(request):
    core, identity, body = request.app[CORE], _identity(request), await _object(request)
    name = body.get("methodName")
    if not isinstance(name, str) or not name:
        raise bad_request("methodName is missing")
    timeouts = []
    for field, default in (("connectTimeoutInSeconds", 0), ("responseTimeoutInSeconds", 30)):
        value = body.get(field, default)
        value = default if value is None else value
        if not isinstance(value, int) or not 0 <= value <= 300:
            raise bad_request(f"{field} is not from 0 to 300")
        timeouts.append(value)
    payload = body.get("payload")
    status, payload = await core.invoke(identity, name, payload, *timeouts)
    return web.json_response({"status": status, "payload": payload})


# -- messages ---------------------------------------------------------------------------------


async def send_message(request):
    """A C2D message: properties in headers, or, with LOCAL_C2D, as JSON that can hold null."""
    core, identity = request.app[CORE], _identity(request)
    if request.content_type == LOCAL_C2D:
        fields = await _object(request)
        try:
            body = base64.b64decode(fields.get("body", ""), validate=True)
        except ValueError:
            raise bad_request("body is not base64") from None
        system = {k: v for k, v in (fields.get("system") or {}).items() if v is not None}
        application = fields.get("properties") or {}
        ack, expiry = fields.get("ack") or "none", fields.get("expiry")
    else:
        headers = request.headers
        body = await request.read()
        system = {name: headers[h] for h, name in _C2D_HEADERS.items() if h in headers}
        application = {
            name[11:]: value
            for name, value in headers.items()
            if name.lower().startswith("iothub-app-")
        }
        ack, expiry = headers.get("iothub-ack", "none"), headers.get("iothub-expiry")
    core.send_message(identity, body, system, application, ack, expiry and _time(expiry))
    await core.durable()
    return web.Response(status=204)


def _time(text):
    try:
        when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (ValueError, AttributeError):
        raise bad_request("the expiry is no ISO 8601 time") from None
    return when.replace(tzinfo=when.tzinfo or datetime.timezone.utc).timestamp()


async def purge_messages(request):
    core, identity = request.app[CORE], _identity(request)
    purged = identity.queue.purge()
    await core.durable()
    body = {"totalMessagesPurged": purged, "deviceId": identity.device_id, "moduleId": None}
    return web.json_response(body)


# -- what the real hub does not have ----------------------------------------------------------


async def local_events(request):
    """The events of ?device= after position ?after=; waits up to ?wait= seconds for the first."""
    core, query = request.app[CORE], request.query
    after = int(query.get("after", "-1"))
    give_up = asyncio.get_running_loop().time() + min(float(query.get("wait", "0")), MAX_WAIT)
    while True:
        events = await core.events.of_device(query.get("device", ""), after)
        left = give_up - asyncio.get_running_loop().time()
        if events or left <= 0:
            break
        await core.events.wait_for_more(left)
    return web.json_response(
        [{**event, "body": base64.b64encode(event["body"]).decode()} for event in events]
    )


async def local_drop(request):
    """Cut a device's connection as a broken network would."""
    identity = _identity(request)
    if identity.connection is None:
        raise HubError(404, "DeviceNotOnline", f"{identity.name} is not connected", 404103)
    identity.connection.drop()
    return web.Response(status=204)


def application(core):
    """The aiohttp application over `core`."""
    app = web.Application(middlewares=[errors], client_max_size=MAX_BODY)
    app[CORE] = core
    routes = [web.get("/devices", list_devices), web.get("/devices/", list_devices)]
    for identity, kind in (("/devices/{device}", "/twins/{device}"),) + (
        ("/devices/{device}/modules/{module}", "/twins/{device}/modules/{module}"),
    ):
        routes += [
            web.put(identity, put_identity),
            web.get(identity, get_identity),
            web.delete(identity, delete_identity),
            web.get(kind, get_twin),
            web.patch(kind, change_twin),
            web.put(kind, change_twin),
            web.post(kind + "/methods", invoke_method),
        ]
    routes += [
        web.get("/devices/{device}/modules", list_modules),
        web.post("/devices/{device}/messages/deviceBound", send_message),
        web.delete("/devices/{device}/commands", purge_messages),
        web.get("/statistics/devices", device_statistics),
        web.get("/statistics/service", service_statistics),
        web.get("/local/events", local_events),
        web.post("/local/devices/{device}/drop", local_drop),
    ]
    app.add_routes(routes)
    return app


@contextlib.asynccontextmanager
async def serving(core, host, port, certificate, key):
    """Listen for services; yields the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    runner = web.AppRunner(application(core), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=context).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
