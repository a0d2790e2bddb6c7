"""What opening a TLS stream asks of CPython: the same functions as sockets', and Stream."""

import asyncio
import functools
import socket

from ..compat import wait_for
from ..errors import ConnectionDroppedError, ConnectionFailedError, TransportError, reason


class Stream:
    """Bytes to and from a peer. Reads and writes have no deadline: the caller sets it."""

    copies = False  # the transport may keep a buffer that was written

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer
        self.stage = "write"  # of a write: the TLS handshake is over

    async def write(self, data):
        """Send `data` (bytes-like)."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise ConnectionDroppedError(reason(error), "write")

    async def readinto(self, buffer):
        """Read what has arrived, at most len(buffer) bytes; the count, 0 at the peer's end."""
        try:
            data = await self._reader.read(len(buffer))
        except OSError as error:
            raise ConnectionDroppedError(reason(error), "read")
        buffer[: len(data)] = data
        return len(data)

    def close(self):
        """Close at once: TLS's own close would wait for the peer."""
        self._writer.transport.abort()


async def resolve(host, port, timeout):
    """The addresses of host:port. OSError, OperationTimeout."""
    found = asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await wait_for(found, timeout, "dns")


async def connect(address):
    """A socket connected to an address of getaddrinfo()'s; the caller bounds it. OSError."""
    sock = socket.socket(*address[:3])
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address[4])
        return sock
    except BaseException:
        sock.close()
        raise


async def tunnel(sock, proxy, host, port, timeout):
    """Let a ProxyOptions ask for a tunnel to host:port over a socket of connect()'s."""
    loop = asyncio.get_running_loop()
    send = functools.partial(loop.sock_sendall, sock)
    receive = functools.partial(loop.sock_recv, sock)
    await proxy.tunnel(host, port, timeout, send, receive)


async def secure(sock, host, context, timeout):
    """A Stream of TLS over a socket, after the handshake."""
    try:
        opened = asyncio.open_connection(sock=sock, ssl=context, server_hostname=host)
        reader, writer = await wait_for(opened, timeout, "tls")
    except TransportError:
        raise
    except OSError as error:
        raise ConnectionFailedError(reason(error), "tls")
    return Stream(reader, writer)
