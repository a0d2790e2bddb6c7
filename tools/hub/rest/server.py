"""The service's side over HTTPS, on IoT Hub's paths: who may call, and how a refusal is said.

Source: spec sdk-expectations, "REST".
"""

import contextlib
import logging
import ssl
from uuid import uuid4

from aiohttp import web

from ..core import auth
from ..core.errors import HubError
from . import devices, registry, websocket
from .request import CORE

log = logging.getLogger("hub.rest")

MAX_BODY = 4 * 1024 * 1024


@web.middleware
async def errors(request, handler):
    """Authenticate, serve, and say a refusal in IoT Hub's shape."""
    try:
        if request.path != websocket.PATH:  # there MQTT's CONNECT does it
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


def application(core):
    """The aiohttp application over `core`."""
    app = web.Application(middlewares=[errors], client_max_size=MAX_BODY)
    app[CORE] = core
    app.add_routes(registry.routes() + devices.routes() + websocket.routes())
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
