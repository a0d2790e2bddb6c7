"""What opening a TLS stream asks of MicroPython. CPython's is in sockets_cpython."""

import asyncio
import errno
import select
import socket

from ..compat import sleep_ms
from ..future import unpoll
from .stream import Stream


async def resolve(host, port, timeout):
    """The addresses of host:port. OSError."""
    # This blocks; MicroPython has no other way. The resolver brings its own deadline.
    return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)


async def connect(address):
    """A socket connected to an address of getaddrinfo()'s; the caller bounds it. OSError.

    The connection is proved here, because an errno does not name the stage later: lwIP reports a
    refused connection as ECONNRESET, and a TLS server that hangs up gives the same.
    """
    sock = socket.socket(address[0], address[1], address[2])
    try:
        sock.setblocking(False)
        try:
            sock.connect(address[4])
        except OSError as error:
            if error.errno != errno.EINPROGRESS:
                raise
        # To wait without a write there is only polling: asyncio's own way is private.
        poll = select.poll()
        poll.register(sock, select.POLLOUT | select.POLLHUP)  # ESP32: no POLLHUP unless asked for
        ready = poll.poll(0)
        while not ready:
            await sleep_ms(10)
            ready = poll.poll(0)
        if ready[0][1] != select.POLLOUT:
            sock.recv(1)  # it raises what went wrong
        return sock
    except BaseException:
        sock.close()
        raise


async def tunnel(sock, proxy, host, port, timeout):
    """Let a ProxyOptions ask for a tunnel to host:port over a socket of connect()'s."""
    try:
        await proxy.open(asyncio.StreamReader(sock), host, port, timeout)
    except MemoryError:
        unpoll(sock)
        raise


async def secure(sock, host, context, timeout):
    """A Stream of TLS over a socket. The handshake is left to the first write, which waits."""
    # IPPROTO_TCP, TCP_NODELAY: what belongs together is one write already.
    sock.setsockopt(6, 1, 1)
    return Stream(
        sock, context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    )
