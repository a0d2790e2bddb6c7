"""A TLS byte stream under asyncio, as CPython has it: the same functions as stream's."""

import asyncio
import binascii
import functools
import socket
import ssl
import tempfile

from ..compat import wait_for
from ..errors import ConnectionDroppedError, ConnectionFailedError, TransportError, reason
from . import first_connected
from .root_certificates import load


def client_context(certificate=None, x509=None):
    """A TLS context that trusts `certificate` (see root_certificates.load) and shows `x509`.

    ValueError: one of them cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for der in load(certificate):
        try:
            context.load_verify_locations(cadata=der)
        except (OSError, ValueError):
            raise ValueError("server_verification_cert is no certificate that TLS can read")
    if x509 is not None:
        _show(context, *x509.der())
    return context


def _show(context, certificate, key):
    """Python's ssl takes certificate and key from files alone: from one that is gone at once."""
    pem = ssl.DER_cert_to_PEM_cert(certificate)
    for label in ("PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"):
        block = pem.replace("CERTIFICATE", label).split("\n")
        body = binascii.b2a_base64(key, newline=False).decode()
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write("\n".join([block[0], body, block[-2], pem]))
            file.flush()
            try:
                context.load_cert_chain(file.name)
                return
            except (OSError, ValueError):
                continue
    raise ValueError("x509 is no certificate and key that TLS can read")


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


async def open_stream(host, port, context, timeout, proxy=None):
    """A Stream to host:port, which TLS must prove to be `host`; each stage gets `timeout` s.

    proxy: a ProxyOptions, through which it goes. The first address that answers is taken.
    ConnectionFailedError or OperationTimeout.
    """
    near = proxy.address if proxy is not None else (host, port)
    sock = await first_connected(*near, await _resolve(*near, timeout), _connect, timeout)
    try:
        if proxy is not None:
            loop = asyncio.get_running_loop()
            send = functools.partial(loop.sock_sendall, sock)
            receive = functools.partial(loop.sock_recv, sock)
            await proxy.tunnel(host, port, timeout, send, receive)
        return await _secure(sock, host, context, timeout)
    except BaseException:
        sock.close()
        raise


async def _resolve(host, port, timeout):
    found = asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    try:
        return await wait_for(found, timeout, "dns")
    except TransportError:
        raise
    except OSError as error:
        raise ConnectionFailedError("%s has no address: %s" % (host, reason(error)), "dns")


async def _connect(address):
    """A socket connected to an address of getaddrinfo()'s; the caller bounds it. OSError."""
    sock = socket.socket(*address[:3])
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address[4])
        return sock
    except BaseException:
        sock.close()
        raise


async def _secure(sock, host, context, timeout):
    try:
        opened = asyncio.open_connection(sock=sock, ssl=context, server_hostname=host)
        reader, writer = await wait_for(opened, timeout, "tls")
    except TransportError:
        raise
    except OSError as error:
        raise ConnectionFailedError(reason(error), "tls")
    return Stream(reader, writer)
