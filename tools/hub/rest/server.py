"""The REST API over HTTPS: authentication of services, and the shape of errors.

Source: docs/protocol/rest.md, "Authentication" and "Errors".
"""

import contextlib
import logging
from uuid import uuid4

from aiohttp import web

from ...loopback import listeners
from ..core.access import POLICIES, split_resource
from ..core.errors import HubError, Unauthorized
from . import configurations, devices, enrollments, files, local, queries, registry, websocket
from .request import AMQP_PORT, CONTEXTS, CORE

log = logging.getLogger("hub.rest")

MAX_BODY = 4 * 1024 * 1024
REQUEST_TIMEOUT = 60  # seconds until a request's head is there, however many bytes come
BACKLOG = 1024


@web.middleware
async def errors(request, handler):
    """Authenticate and serve a request; answer a HubError in IoT Hub's shape."""
    try:
        if not hasattr(request.match_info.handler, "authenticates_itself"):
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
    claim = core.access.claim_of_token(token, {split_resource(request.host)[0]})
    if claim.policy is None or not POLICIES[claim.policy] & {"registry", "service"}:
        raise Unauthorized(
            "the SAS token must be of a policy for services, such as iothubowner: it is of "
            f"{claim.policy or 'a device'}"
        )


def application(core, contexts, amqp_port):
    """The aiohttp application over `core`."""
    app = web.Application(middlewares=[errors], client_max_size=MAX_BODY)
    app[CORE] = core
    app[CONTEXTS] = contexts
    app[AMQP_PORT] = amqp_port
    parts = registry, queries, configurations, devices, enrollments, files, local, websocket
    for part in parts:
        app.add_routes(part.routes())
    return app


@contextlib.asynccontextmanager
async def serving(core, host, port, contexts, amqp_port):
    """Listen for services and WebSockets; yields the port."""
    app = application(core, contexts, amqp_port)
    # aiohttp counts it from the connection's begin and from the end of the request before.
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=1, keepalive_timeout=REQUEST_TIMEOUT
    )
    await runner.setup()
    try:
        for one in listeners(host, port, BACKLOG):
            await web.SockSite(runner, one, ssl_context=contexts.first, backlog=BACKLOG).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
