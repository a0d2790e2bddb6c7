"""Byte streams: TLS, WebSocket, HTTP proxy, HTTPS, trusted root certificates."""

from ..compat import ticks_diff, ticks_ms, wait_for
from ..errors import ConnectionFailedError, OperationTimeout, reason


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
        answers.append("%s %s" % ("IPv4" if address[0] == 2 else "IPv6", answer))
    raise kind("%s:%d: %s" % (host, port, ", ".join(answers)), "tcp")
