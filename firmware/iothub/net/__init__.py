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


async def open_stream(*arguments):
    """See opening.open_stream()."""
    from .opening import open_stream as make

    try:
        return await make(*arguments)
    finally:
        forget("net.opening", "net.sockets")


async def dial(*arguments):
    """See opening.dial()."""
    from .opening import dial as make

    try:
        return await make(*arguments)
    finally:
        forget("net.opening", "net.sockets")
