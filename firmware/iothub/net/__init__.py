"""Byte streams: TLS, WebSocket, HTTP proxy, HTTPS, trusted root certificates.

A board connects seldom: the modules that open a stream are loaded for that, and given back.
"""

import sys

from ..compat import forget


def client_context(certificate=None, x509=None):
    """A TLS context that trusts `certificate` (see root_certificates.load) and shows `x509`.

    ValueError: one of them cannot be read.
    """
    if sys.implementation.name == "micropython":
        from .context import client_context as make
    else:
        from .context_cpython import client_context as make

    try:
        return make(certificate, x509)
    finally:
        forget("net.context", "net.root_certificates")


async def dial(options, context, host, port, default_port, subprotocol):
    """A stream to host:port (None: the default port), as the options say: through a proxy, or
    with a WebSocket of that subprotocol in it. ConnectionFailedError, OperationTimeout.
    """
    from .opening import open_stream

    timeout, websockets = options["timeout"], options["websockets"]
    port = port or (443 if websockets else default_port)
    try:
        stream = await open_stream(host, port, context, timeout, options["proxy_options"])
    finally:
        forget("net.opening", "net.sockets")
    if not websockets:
        return stream
    from .websocket import open_websocket

    return await open_websocket(stream, host, subprotocol, timeout)
