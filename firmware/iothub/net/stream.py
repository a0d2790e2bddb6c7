"""A TLS byte stream under asyncio, as MicroPython has it. CPython's is in stream_cpython.

The hub's certificate and its name are always verified. A failure names its stage: dns, tcp, tls,
or later read and write.
"""

import asyncio
import errno
import select
import socket

from ..compat import forget, sleep_ms
from ..errors import ConnectionDroppedError, ConnectionFailedError, reason
from . import first_connected

_NOTHING = bytearray(0)


def client_context(certificate=None, x509=None):
    """A TLS context that trusts `certificate` (see root_certificates.load) and shows `x509`.

    ValueError: one of them cannot be read.
    """
    import tls  # it starts at CERT_REQUIRED, where MicroPython's ssl module does not

    from .root_certificates import load

    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    for der in load(certificate):
        try:
            context.load_verify_locations(der)
        except (OSError, ValueError):
            raise ValueError("server_verification_cert is no certificate that TLS can read")
    if x509 is not None:
        try:
            context.load_cert_chain(*x509.der())
        except OSError:
            raise ValueError("x509 is no certificate and key that TLS can read")
    forget("net.root_certificates")
    return context


class Stream:
    """Bytes to and from a peer. Reads and writes have no deadline: the caller sets it."""

    copies = True  # a buffer that was written may be used again at once

    def __init__(self, sock, tls):
        self._sock = sock
        self._plain = asyncio.StreamReader(sock)  # the bare socket, by which to wait
        self._writer = asyncio.StreamWriter(tls)
        self._tls = tls
        self._more = False  # the last read may have left some of its TLS record behind
        self.stage = "tls"  # of a write: "write" once the handshake is over

    async def write(self, data):
        """Send `data` (bytes-like), as one TLS record where it fits in one."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except (OSError, ValueError) as error:  # ValueError: the certificate was refused
            if self.stage == "write":
                raise ConnectionDroppedError(reason(error), "write")
            raise ConnectionFailedError(reason(error), "tls")  # TCP stood: see _connect()
        self.stage = "write"

    async def readinto(self, buffer):
        """Read what has arrived, at most len(buffer) bytes; the count, 0 at the peer's end.

        It waits by the bare socket and reads from TLS: the unix port polls a TLS object once a
        millisecond, and all tasks with it; a socket it polls at once. To read nothing is the
        public way to wait.
        """
        try:
            if not self._more:
                await self._plain.readinto(_NOTHING)
            size = self._tls.readinto(buffer)
            while size is None:
                await self._plain.readinto(_NOTHING)
                size = self._tls.readinto(buffer)
        except (OSError, ValueError) as error:
            raise ConnectionDroppedError(reason(error), "read")
        self._more = size == len(buffer)
        return size

    def close(self):
        """Close at once; tasks that read or write must have been cancelled before."""
        try:
            self._tls.close()
        except Exception:  # a tuple of them would take heap
            pass  # it was broken already
        self._sock.close()  # TLS does not close it after a handshake that failed


async def open_stream(host, port, context, timeout, proxy=None):
    """A Stream to host:port, which TLS must prove to be `host`; each stage gets `timeout` s.

    proxy: a ProxyOptions, through which it goes. The first address that answers is taken.
    ConnectionFailedError or OperationTimeout, with the stage. The handshake is left to the first
    write, which waits for it.
    """
    near = proxy.address if proxy is not None else (host, port)
    try:
        # This blocks; MicroPython has no other way. The resolver brings its own deadline.
        addresses = socket.getaddrinfo(near[0], near[1], 0, socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectionFailedError("%s has no address: %s" % (near[0], reason(error)), "dns")
    sock = await first_connected(near[0], near[1], addresses, _connect, timeout)
    try:
        if proxy is not None:
            await proxy.open(asyncio.StreamReader(sock), host, port, timeout)
        # IPPROTO_TCP, TCP_NODELAY: what belongs together is one write already.
        sock.setsockopt(6, 1, 1)
        return Stream(
            sock, context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        )
    except BaseException:
        sock.close()
        raise


async def _connect(address):
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
