"""File upload: a device asks for a place, puts a blob there as in Azure Storage, and tells.

Source: Microsoft's IoT Hub REST API, "Create" and "Update File Upload Status"; Azure Storage's
"Put Blob" and "Get Blob". The blobs are files in the hub's data folder.
"""

import base64
import hmac
from urllib.parse import parse_qs, quote, urlencode

from aiohttp import web

from ..core.access import host_of
from ..core.auth import TokenError
from ..core.errors import HubError, bad_request
from .request import CONTEXTS, CORE, admits_itself, object_of

CONTAINER = "uploads"
_MAX_BLOB = 256 * 1024 * 1024
_MAX_ACTIVE = 10  # uploads that a device may have begun and not told about
_LIFE = 3600


def authenticate(request):
    """TokenError unless the device of the path speaks, by token or by certificate."""
    core = request.app[CORE]
    identity = core.identities.get(request.match_info["device"])
    token = request.headers.get("Authorization")
    if token is None:
        chain = request.app[CONTEXTS].chain(request.transport)
        if not chain:
            raise TokenError("no token, and no client certificate")
        core.access.of_certificates(chain, identity)
        return
    hosts = {host_of(request.host)[0], request.host.lower()}
    if not core.access.of_token(token, hosts).covers(identity):
        raise TokenError("the token is for another resource")


@admits_itself
async def place(request):
    """Where a blob is to go; with a token that is good for that blob alone."""
    authenticate(request)
    core, device_id = request.app[CORE], request.match_info["device"]
    name = (await object_of(request)).get("blobName")
    if not isinstance(name, str) or not 0 < len(name) <= 1024:
        raise bad_request("blobName is a text of 1 to 1024 characters")
    correlation = core.uploads.begin(device_id, name, _MAX_ACTIVE)
    blob = f"{device_id}/{name}"
    expiry = str(int(request.app[CORE].clock()) + _LIFE)
    query = urlencode({"se": expiry, "sr": "b", "sp": "rw", "sig": _signature(core, blob, expiry)})
    return web.json_response(
        {
            "correlationId": correlation,
            "hostName": request.host,
            "containerName": CONTAINER,
            "blobName": blob,
            "sasToken": f"?{query}",
        }
    )


@admits_itself
async def notification(request):
    """The device's word on what became of an upload."""
    authenticate(request)
    fields = await object_of(request)
    request.app[CORE].uploads.end(request.match_info["device"], fields.get("correlationId"))
    return web.Response(status=204)


@admits_itself
async def put_blob(request):
    if request.headers.get("x-ms-blob-type") != "BlockBlob":
        raise HubError(400, "InvalidHeaderValue", "x-ms-blob-type is not BlockBlob")
    blob = _allowed(request)
    with request.app[CORE].uploads.writing(blob) as file:
        size = 0
        async for chunk in request.content.iter_chunked(65536):
            size += len(chunk)
            if size > _MAX_BLOB:
                raise HubError(413, "RequestBodyTooLarge", "a blob of more than 256 MB")
            file.write(chunk)
    return web.Response(status=201)


@admits_itself
async def get_blob(request):
    path = request.app[CORE].uploads.path(_allowed(request))
    if not path.exists():
        raise HubError(404, "BlobNotFound", "there is no such blob")
    return web.FileResponse(path, headers={"Content-Type": "application/octet-stream"})


def _allowed(request):
    """The blob that the path names, if the query's token is for it. HubError 403."""
    blob = request.match_info["blob"]
    query = {name: values[0] for name, values in parse_qs(request.query_string).items()}
    expiry = query.get("se", "0")
    expected = _signature(request.app[CORE], blob, expiry)
    good = hmac.compare_digest(expected, query.get("sig", ""))
    if not good or not expiry.isdigit() or int(expiry) < request.app[CORE].clock():
        raise HubError(403, "AuthenticationFailed", "the blob's token is not good for it")
    return blob


def _signature(core, blob, expiry):
    secret = base64.b64decode(core.policy_keys["iothubowner"])
    text = f"{CONTAINER}/{quote(blob)}\n{expiry}".encode()
    return base64.b64encode(hmac.digest(secret, text, "sha256")).decode()


def routes():
    return [
        web.post("/devices/{device}/files", place),
        web.post("/devices/{device}/files/notifications", notification),
        web.put(f"/{CONTAINER}/{{blob:.+}}", put_blob),
        web.get(f"/{CONTAINER}/{{blob:.+}}", get_blob),
    ]
