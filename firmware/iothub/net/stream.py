"""A TLS byte stream under asyncio, as MicroPython has it. CPython's way is in stream_host.

The hub's certificate and its name are always verified. A failure says where it came: dns, tcp,
tls, or later read and write.
"""

import asyncio
import errno
import socket

from ..deadline import within
from ..errors import ConnectionDroppedError, ConnectionFailedError, TransportError
from .root_certificates import load

_NOTHING = bytearray(0)
# A TCP connection that failed says so at the first write, with one of these.
_AT_TCP = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ETIMEDOUT)


def client_context(certificate=None, x509=None):
    """A TLS context that trusts `certificate` (see roots.load) and shows `x509` (an X509).

    ValueError: one of them cannot be read.
    """
    import tls  # it starts at CERT_REQUIRED, where MicroPython's ssl module does not

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
    return context


class Stream:
    """Bytes to and from a peer. Reads and writes have no deadline: whoever calls them sets it."""

    copies = True  # what was written is the caller's again

    def __init__(self, arrival, writer, tls=None):
        self._arrival = arrival  # a reader of the bare socket, by which to wait
        self._writer = writer
        self._tls = tls
        self._more = False  # the last read may have left some of its TLS record behind
        self.stage = "tls"  # of a write: "write" once the handshake is over

    async def write(self, data):
        """Send `data` (bytes-like), as one TLS record where it fits in one."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except (OSError, ValueError) as error:  # ValueError: the certificate's fault
            if self.stage == "write":
                raise ConnectionDroppedError(reason(error), "write")
            stage = "tcp" if error.args and error.args[0] in _AT_TCP else "tls"
            raise ConnectionFailedError(reason(error), stage)
        self.stage = "write"

    async def readinto(self, buffer):
        """Read what has arrived, at most len(buffer) bytes; how many, 0 at the peer's end."""
        try:
            return await self._readinto(buffer)
        except (OSError, ValueError) as error:
            raise ConnectionDroppedError(reason(error), "read")

    async def _readinto(self, buffer):
        """Wait by the bare socket, and read from TLS.

        The unix port polls a TLS object once a millisecond, and all tasks with it; a socket it
        polls at once. To read nothing is the public way to wait.
        """
        if not self._more:
            await self._arrival.readinto(_NOTHING)
        size = self._tls.readinto(buffer)
        while size is None:
            await self._arrival.readinto(_NOTHING)
            size = self._tls.readinto(buffer)
        self._more = size == len(buffer)
        return size

    async def close(self):
        """Close at once; whoever reads or writes must have been cancelled before."""
        try:
            await self._writer.wait_closed()
        except (OSError, ValueError):
            pass  # it was broken already


async def open_stream(host, port, context, timeout, proxy=None):
    """A Stream to host:port, which TLS must prove to be `host`; each stage gets `timeout` s.

    proxy: a ProxyOptions, through which it goes.

    ConnectionFailedError or OperationTimeout, with the stage. The handshake is left to the first
    write, which waits for it.
    """
    near = proxy.place if proxy is not None else (host, port)
    try:
        # This blocks; MicroPython has no other way. The resolver brings its own deadline.
        socket.getaddrinfo(near[0], near[1], 0, socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectionFailedError("%s has no address: %s" % (near[0], reason(error)), "dns")
    try:
        # It looks the name up once more, in the resolver's cache: there is no other public way.
        plain, _ = await within(timeout, "tcp", asyncio.open_connection(*near))
    except TransportError:
        raise
    except OSError as error:
        raise ConnectionFailedError(reason(error), "tcp")
    if proxy is not None:
        await proxy.open(plain, host, port, timeout)
    # IPPROTO_TCP, TCP_NODELAY: what is written together is one write already.
    plain.s.setsockopt(6, 1, 1)
    tls = context.wrap_socket(plain.s, server_hostname=host, do_handshake_on_connect=False)
    return Stream(plain, asyncio.StreamWriter(tls), tls)


def reason(error):
    """One line for what the system said, which on MicroPython may be a bare number."""
    parts = [errno.errorcode.get(part, str(part)).strip() for part in error.args]
    return " ".join(parts) or type(error).__name__
