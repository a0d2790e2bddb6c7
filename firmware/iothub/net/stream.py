"""A TLS byte stream under asyncio, as MicroPython has it. CPython's is in stream_cpython.

The hub's certificate and its name are always verified. A failure names its stage: dns, tcp, tls,
or later read and write.
"""

import asyncio
import errno
import socket

from ..compat import forget, wait_for
from ..errors import ConnectionDroppedError, ConnectionFailedError, TransportError, reason

_NOTHING = bytearray(0)
# A TCP connection that failed reports it at the first write, with one of these.
_AT_TCP = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ETIMEDOUT)


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

    def __init__(self, plain, tls):
        self._plain = plain  # a stream of the bare socket, by which to wait
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
            stage = "tcp" if error.args and error.args[0] in _AT_TCP else "tls"
            raise ConnectionFailedError(reason(error), stage)
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


async def open_stream(host, port, context, timeout, proxy=None):
    """A Stream to host:port, which TLS must prove to be `host`; each stage gets `timeout` s.

    proxy: a ProxyOptions, through which it goes.

    ConnectionFailedError or OperationTimeout, with the stage. The handshake is left to the first
    write, which waits for it.
    """
    near = proxy.address if proxy is not None else (host, port)
    try:
        # This blocks; MicroPython has no other way. The resolver brings its own deadline.
        socket.getaddrinfo(near[0], near[1], 0, socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectionFailedError("%s has no address: %s" % (near[0], reason(error)), "dns")
    try:
        # It looks the name up once more, in the resolver's cache: there is no other public way.
        plain, _ = await wait_for(asyncio.open_connection(*near), timeout, "tcp")
    except TransportError:
        raise
    except OSError as error:
        raise ConnectionFailedError(reason(error), "tcp")
    if proxy is not None:
        await proxy.open(plain, host, port, timeout)
    # IPPROTO_TCP, TCP_NODELAY: what belongs together is one write already.
    plain.s.setsockopt(6, 1, 1)
    return Stream(
        plain, context.wrap_socket(plain.s, server_hostname=host, do_handshake_on_connect=False)
    )
