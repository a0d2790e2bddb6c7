"""Opening a stream: a host's addresses, a proxy, TLS, a WebSocket. iothub.net loads it for each.

A failure names its stage: dns, tcp, proxy, tls, websocket.
"""

import sys

from .. import errors
from ..compat import ticks_diff, ticks_ms, wait_for
from ..errors import ConnectionFailedError, OperationTimeout, TransportError, reason

if sys.implementation.name == "micropython":
    from .sockets import connect, resolve, secure, tunnel
else:
    from .sockets_cpython import connect, resolve, secure, tunnel


async def open_stream(host, port, context, timeout, proxy=None):
    """A Stream to host:port, which TLS must prove to be `host`; each stage gets `timeout` s.

    proxy: a ProxyOptions, through which it goes. The first address that answers is taken.
    ConnectionFailedError or OperationTimeout. The handshake may be left to the first write.
    """
    if errors.logger:
        errors.logger(20, "tcp", "%s:%d" % (host, port))
    near = proxy.address if proxy is not None else (host, port)
    try:
        addresses = await resolve(near[0], near[1], timeout)
    except TransportError:
        raise
    except OSError as error:
        raise ConnectionFailedError("%s has no address: %s" % (near[0], reason(error)), "dns")
    sock = await first_connected(near[0], near[1], addresses, connect, timeout)
    try:
        if proxy is not None:
            await tunnel(sock, proxy, host, port, timeout)
        return await secure(sock, host, context, timeout)
    except BaseException:
        sock.close()
        raise


async def first_connected(host, port, addresses, connect, timeout):
    """The socket of the first address that answers. addresses: as getaddrinfo() gives them.

    connect(address): a coroutine function that gives a connected socket. The addresses share
    `timeout` seconds: each gets an equal part of what is left. ConnectionFailedError or
    OperationTimeout at tcp, whose text says what each address answered.
    """
    start, left, answers = ticks_ms(), len(addresses), []
    for address in addresses:
        seconds = (timeout - ticks_diff(ticks_ms(), start) / 1000) / left
        left -= 1
        try:
            return await wait_for(connect(address), seconds, "tcp")
        except OperationTimeout:
            kind, answer = OperationTimeout, "no answer"
        except OSError as error:
            kind, answer = ConnectionFailedError, reason(error)
        answers.append("IPv%d %s" % (4 if address[0] == 2 else 6, answer))
    raise kind("%s:%d: %s" % (host, port, ", ".join(answers)), "tcp")
