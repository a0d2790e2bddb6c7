"""A TLS byte stream under asyncio: the same few calls on MicroPython and CPython.

The hub's certificate and its name are always verified. A failure says where it came: dns, tcp,
tls, or later read and write.
"""

import asyncio
import errno
import socket
import sys

from .deadline import within
from .errors import ConnectionDroppedError, ConnectionFailedError, TransportError
from .roots import load

_CPYTHON = sys.implementation.name == "cpython"

if _CPYTHON:
    import ssl as tls
else:
    import tls  # it starts at CERT_REQUIRED, where MicroPython's ssl module does not

# On MicroPython a TCP connection that failed says so at the first write, with one of these.
_AT_TCP = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ETIMEDOUT)


def client_context(certificate=None):
    """A TLS context that trusts `certificate` (see roots.load); ValueError if it is none."""
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    if _CPYTHON:
        context.minimum_version = tls.TLSVersion.TLSv1_2
    for der in load(certificate):
        try:
            if _CPYTHON:
                context.load_verify_locations(cadata=der)
            else:
                context.load_verify_locations(der)
        except (OSError, ValueError):
            raise ValueError("server_verification_cert is no certificate that TLS can read")
    return context


class Stream:
    """Bytes to and from a peer. Reads and writes have no deadline: whoever calls them sets it."""

    def __init__(self, reader, writer, verified):
        self._reader = reader
        self._writer = writer
        self._verified = verified  # MicroPython shakes hands with the first write

    @property
    def stage(self):
        """What a write waits for just now: the handshake, or only the network."""
        return "write" if self._verified else "tls"

    async def write(self, data):
        """Send `data` (bytes-like), as one TLS record where it fits in one."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except (OSError, ValueError) as error:
            if self._verified:
                raise ConnectionDroppedError(_reason(error), "write")
            stage = "tcp" if error.args and error.args[0] in _AT_TCP else "tls"
            raise ConnectionFailedError(_reason(error), stage)
        self._verified = True

    async def readinto(self, buffer):
        """Read what has arrived, at most len(buffer) bytes; how many, 0 at the peer's end."""
        try:
            if not _CPYTHON:
                return await self._reader.readinto(buffer)
            data = await self._reader.read(len(buffer))
        except (OSError, ValueError) as error:
            raise ConnectionDroppedError(_reason(error), "read")
        buffer[: len(data)] = data
        return len(data)

    async def close(self):
        """Close at once; whoever reads or writes must have been cancelled before."""
        if _CPYTHON:
            self._writer.transport.abort()
        else:
            try:
                await self._writer.wait_closed()
            except OSError:
                pass  # it was broken already


async def open_stream(host, port, context, server_hostname, timeout):
    """A Stream to host:port, where TLS must prove `server_hostname`; each stage gets `timeout` s.

    ConnectionFailedError or OperationTimeout, with the stage.
    """
    addresses = await _resolve(host, port, timeout)
    if _CPYTHON:
        return await _open(addresses, context, server_hostname, timeout)
    try:
        # It looks the name up once more, in the resolver's cache: there is no other public way.
        plain, _ = await within(timeout, "tcp", asyncio.open_connection(host, port))
    except TransportError:
        raise
    except OSError as error:
        raise ConnectionFailedError(_reason(error), "tcp")
    wrapped = context.wrap_socket(
        plain.s, server_hostname=server_hostname, do_handshake_on_connect=False
    )
    both = asyncio.StreamReader(wrapped)
    return Stream(both, both, False)


async def _resolve(host, port, timeout):
    try:
        if _CPYTHON:
            found = asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return await within(timeout, "dns", found)
        # This blocks; MicroPython has no other way. The resolver brings its own deadline.
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except TransportError:
        raise
    except OSError as error:
        raise ConnectionFailedError("%s has no address: %s" % (host, _reason(error)), "dns")


async def _open(addresses, context, server_hostname, timeout):
    """CPython: TCP to the first address that answers, then TLS, each with its own deadline."""
    failure = None
    for family, kind, protocol, _, endpoint in addresses:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            connected = asyncio.get_running_loop().sock_connect(sock, endpoint)
            await within(timeout, "tcp", connected)
            break
        except OSError as error:
            sock.close()
            failure = error
    else:
        if isinstance(failure, TransportError):
            raise failure
        raise ConnectionFailedError(_reason(failure), "tcp")
    try:
        opened = asyncio.open_connection(sock=sock, ssl=context, server_hostname=server_hostname)
        reader, writer = await within(timeout, "tls", opened)
    except TransportError:
        sock.close()
        raise
    except OSError as error:
        sock.close()
        raise ConnectionFailedError(_reason(error), "tls")
    return Stream(reader, writer, True)


def _reason(error):
    """One line for what the system said, which on MicroPython may be a bare number."""
    parts = [errno.errorcode.get(part, str(part)).strip() for part in error.args]
    return " ".join(parts) or type(error).__name__
