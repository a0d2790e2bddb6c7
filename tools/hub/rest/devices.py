"""Twins, direct methods and cloud-to-device messages over REST.

Source: docs/protocol/rest.md, "Device twins", "Direct methods", "Cloud-to-device messages".
"""

from aiohttp import web

from ..core.errors import bad_request
from ..core.values import milliseconds
from .request import CORE, body_of, check_etag, dict_of, identity_of, object_of

LOCAL_C2D = "application/vnd.local-hub.c2d+json"
_C2D_HEADERS = {
    "iothub-messageid": "message-id",
    "iothub-correlationid": "correlation-id",
    "iothub-userid": "user-id",
    "iothub-contenttype": "content-type",
    "iothub-contentencoding": "content-encoding",
}


async def get_twin(request):
    core, identity = request.app[CORE], identity_of(request)
    return web.json_response(core.twin(identity))


async def change_twin(request):
    """PATCH merges a twin, PUT replaces it."""
    core, identity = request.app[CORE], identity_of(request)
    check_etag(request, core.twin(identity)["etag"])
    core.patch_twin(identity, await object_of(request), replace=request.method == "PUT")
    await core.durable()
    return web.json_response(core.twin(identity))


async def invoke_method(request):
    core, identity, body = request.app[CORE], identity_of(request), await object_of(request)
    name = body.get("methodName")
    if not isinstance(name, str) or not name:
        raise bad_request("the body must have a methodName, as a string")
    timeouts = []
    for field, default in (("connectTimeoutInSeconds", 0), ("responseTimeoutInSeconds", 30)):
        value = body.get(field, default)
        value = default if value is None else value
        if not isinstance(value, int) or not 0 <= value <= 300:
            raise bad_request(f"{field} must be a whole number from 0 to 300")
        timeouts.append(value)
    payload = body.get("payload")
    status, payload = await core.methods.invoke(identity, name, payload, *timeouts)
    return web.json_response({"status": status, "payload": payload})


# -- messages ---------------------------------------------------------------------------------


async def send_message(request):
    """Send a C2D message. Its properties are headers; or JSON (LOCAL_C2D), which can hold null."""
    core, identity = request.app[CORE], identity_of(request)
    if request.content_type == LOCAL_C2D:
        fields = await object_of(request)
        body = body_of(fields)
        system = {k: v for k, v in dict_of(fields, "system").items() if v is not None}
        application = dict_of(fields, "properties")
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
    core.send_message(identity, body, system, application, ack, expiry and _seconds(expiry))
    await core.durable()
    return web.Response(status=204)


def _seconds(text):
    """Seconds since 1970 of an ISO 8601 time. HubError 400."""
    when = milliseconds(text)
    if when is None:
        raise bad_request("the expiry must be a time in ISO 8601")
    return when / 1000


async def purge_messages(request):
    core, identity = request.app[CORE], identity_of(request)
    purged = identity.queue.purge()
    await core.durable()
    body = {"totalMessagesPurged": purged, "deviceId": identity.device_id, "moduleId": None}
    return web.json_response(body)


def routes():
    """The paths for twins, methods and messages."""
    table = []
    for twin in ("/twins/{device}", "/twins/{device}/modules/{module}"):
        table += [
            web.get(twin, get_twin),
            web.patch(twin, change_twin),
            web.put(twin, change_twin),
            web.post(twin + "/methods", invoke_method),
        ]
    return [
        *table,
        web.post("/devices/{device}/messages/deviceBound", send_message),
        web.delete("/devices/{device}/commands", purge_messages),
    ]
