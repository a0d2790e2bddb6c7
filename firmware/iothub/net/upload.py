"""File upload: ask the hub for a place in its storage, put the file there, report the outcome.

Contract: docs/protocol/file-upload.md. These are methods of the client.
"""

import json
import os

from ..compat import quote, unix_time
from ..credentials import split_host
from ..errors import ServiceError
from . import client_context
from .https import request
from .opening import open_stream

_API = "?api-version=2021-04-12"


async def get_storage_info_for_blob(supervisor, blob_name):
    """Where a blob goes: a dict of correlationId, hostName, containerName, blobName, sasToken.

    ServiceError with the HTTP status; TransportError.
    """
    return json.loads(await _ask(supervisor, "/files", {"blobName": blob_name}))


async def notify_blob_upload_status(
    supervisor, correlation_id, is_success, status_code, status_description
):
    """Tell the hub what became of an upload. ServiceError, TransportError."""
    body = {
        "correlationId": correlation_id,
        "isSuccess": is_success,
        "statusCode": status_code,
        "statusDescription": status_description,
    }
    await _ask(supervisor, "/files/notifications", body)


async def upload_blob(supervisor, blob_name, file, length=None):
    """Upload `file`: a path, or an open binary file of which `length` bytes are sent.

    Nothing of it is kept in memory but a chunk. ServiceError: the hub or the storage refused; the
    hub is told in any case.
    """
    opened, size = _opened(file, length)
    try:
        place = await get_storage_info_for_blob(supervisor, blob_name)
        status, text = 0, "not sent"
        try:
            status = await _put(supervisor.options, place, size, opened.read)
            text = "uploaded" if status == 201 else "refused"
        finally:
            correlation_id = place["correlationId"]
            taken = status == 201
            await notify_blob_upload_status(supervisor, correlation_id, taken, status, text)
    finally:
        if opened is not file:
            opened.close()
    if status != 201:
        raise ServiceError("the storage does not take the file", "upload", status)


async def _put(options, place, length, read):
    host = place["hostName"]
    path = "/%s/%s" % (quote(place["containerName"]), _path(place["blobName"]))
    path += place["sasToken"]
    stream = await _open(options, host, None)
    headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
    body = length, read
    status, _ = await request(stream, options["timeout"], "PUT", host, path, headers, body)
    return status


async def _ask(supervisor, path, body):
    credentials, options = supervisor.transport.credentials, supervisor.options
    headers = {"Content-Type": "application/json"}
    signed = credentials.sign(unix_time() + options["sastoken_ttl"])
    if signed is not None:
        headers["Authorization"] = signed[0]
    port = options["https_port"]
    name = credentials.hostname if port == 443 else "%s:%d" % (credentials.hostname, port)
    stream = await _open(options, "%s:%d" % (credentials.host, port), options["x509"])
    path = "/devices/" + quote(credentials.device_id) + path + _API
    status, answer = await request(
        stream,
        options["timeout"],
        "POST",
        name,
        path,
        headers,
        json.dumps(body).encode(),
        options["max_inbound"],
    )
    if status not in (200, 204):
        raise ServiceError("the hub refuses the upload", "upload", status)
    return answer


async def _open(options, host, x509):
    context = client_context(options["server_verification_cert"], x509)
    name, port = split_host(host, 443)
    return await open_stream(name, port, context, options["timeout"], options["proxy_options"])


def _opened(file, length):
    """(a binary file, how much of it) of a path, or of what is given."""
    if isinstance(file, str):
        return open(file, "rb"), os.stat(file)[6]  # noqa: SIM115
    if length is None:
        raise ValueError("the length of an open file must be given")
    return file, length


def _path(blob_name):
    return "/".join([quote(part) for part in blob_name.split("/")])
