"""File upload: a device asks for a blob's address, puts the blob there, and notifies the hub.

The blobs are files in the hub's data folder. Source: docs/protocol/file-upload.md.
"""

import base64
import hmac
from urllib.parse import parse_qs, quote, urlencode

from aiohttp import web

from ..core.access import split_resource
from ..core.errors import HubError, Unauthorized, bad_request
from .request import CONTEXTS, CORE, authenticates_itself, object_of

CONTAINER = "uploads"
_MAX_BLOB = 256 * 1024 * 1024
_MAX_ACTIVE = 10  # uploads of one device at the same time
_TOKEN_LIFE = 3600  # seconds


def authenticate(request):
    """Unauthorized unless the caller is the path's device, by its token or its certificate."""
    core = request.app[CORE]
    identity = core.identities.get(request.match_info["device"])
    token = request.headers.get("Authorization")
    if token is None:
        chain = request.app[CONTEXTS].chain(request.transport)
        if not chain:
            raise Unauthorized(
                "the device must send a SAS token in Authorization, or show its certificate in TLS"
            )
        core.access.check_certificates(chain, identity)
        return
    hosts = {split_resource(request.host)[0], request.host.lower()}
    core.access.check_token(token, hosts, identity)


@authenticates_itself
async def begin_upload(request):
    """Answer where the blob is to go, with a token for that blob alone."""
    authenticate(request)
    core, device_id = request.app[CORE], request.match_info["device"]
    name = (await object_of(request)).get("blobName")
    if not isinstance(name, str) or not 0 < len(name) <= 1024:
        raise bad_request("blobName must be a string of 1 to 1024 characters")
    correlation = core.uploads.begin(device_id, name, _MAX_ACTIVE)
    blob = f"{device_id}/{name}"
    expiry = str(int(request.app[CORE].clock()) + _TOKEN_LIFE)
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


@authenticates_itself
async def end_upload(request):
    """Take in the device's notice that an upload has succeeded or failed."""
    authenticate(request)
    fields = await object_of(request)
    request.app[CORE].uploads.end(request.match_info["device"], fields.get("correlationId"))
    return web.Response(status=204)


@authenticates_itself
async def put_blob(request):
    if request.headers.get("x-ms-blob-type") != "BlockBlob":
        raise HubError(400, "InvalidHeaderValue", "x-ms-blob-type must be BlockBlob")
    blob = _authorized_blob(request)
    with request.app[CORE].uploads.writing(blob) as file:
        size = 0
        async for chunk in request.content.iter_chunked(65536):
            size += len(chunk)
            if size > _MAX_BLOB:
                raise HubError(413, "RequestBodyTooLarge", "the blob is larger than 256 MB")
            file.write(chunk)
    return web.Response(status=201)


@authenticates_itself
async def get_blob(request):
    path = request.app[CORE].uploads.path(_authorized_blob(request))
    if not path.exists():
        raise HubError(404, "BlobNotFound", "the blob does not exist")
    return web.FileResponse(path, headers={"Content-Type": "application/octet-stream"})


def _authorized_blob(request):
    """The blob that the path names, if the query's token is for it. HubError 403."""
    blob = request.match_info["blob"]
    query = {name: values[0] for name, values in parse_qs(request.query_string).items()}
    expiry = query.get("se", "0")
    expected = _signature(request.app[CORE], blob, expiry)
    good = hmac.compare_digest(expected, query.get("sig", ""))
    if not good or not expiry.isdigit() or int(expiry) < request.app[CORE].clock():
        raise HubError(
            403,
            "AuthenticationFailed",
            "the token in the query is not for this blob, or has expired",
        )
    return blob


def _signature(core, blob, expiry):
    secret = base64.b64decode(core.policy_keys["iothubowner"])
    text = f"{CONTAINER}/{quote(blob)}\n{expiry}".encode()
    return base64.b64encode(hmac.digest(secret, text, "sha256")).decode()


def routes():
    return [
        web.post("/devices/{device}/files", begin_upload),
        web.post("/devices/{device}/files/notifications", end_upload),
        web.put(f"/{CONTAINER}/{{blob:.+}}", put_blob),
        web.get(f"/{CONTAINER}/{{blob:.+}}", get_blob),
    ]
