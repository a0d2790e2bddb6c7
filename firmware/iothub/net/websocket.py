"""WebSocket over a stream: the upgrade, and a stream again, of what binary frames carry.

A packet may span frames and a frame may hold several packets, so that the frames are taken as one
stream of bytes; none is ever in memory as a whole. Source: RFC 6455; docs/protocol/mqtt.md.
"""

import asyncio
import binascii
import hashlib
import os

from ..compat import wait_for
from ..errors import ConnectionDroppedError, ConnectionFailedError, ProtocolError

PORT = 443
_PATH = "/$iothub/websocket"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MAX_RESPONSE = 2048
_CONTINUED, _BINARY, _CLOSE, _PING, _PONG = 0, 2, 8, 9, 10
_MASKED = 64  # bytes masked at a time


async def open_websocket(stream, host, protocol, timeout):
    """upgrade() within `timeout` seconds; if it fails `stream` is closed."""
    try:
        return await wait_for(upgrade(stream, host, protocol), timeout, "websocket")
    except BaseException:
        stream.close()
        raise


async def upgrade(stream, host, protocol):
    """A WebSocket over `stream`, for the subprotocol; the caller sets the deadline.

    ConnectionFailedError at websocket: the hub answers with something else.
    """
    key = binascii.b2a_base64(os.urandom(16)).strip()
    lines = (
        "GET %s HTTP/1.1" % _PATH,
        "Host: " + host,
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: " + protocol,
        "Sec-WebSocket-Key: " + key.decode(),
        "\r\n",
    )
    request = "\r\n".join(lines)
    await stream.write(request.encode())
    status, headers = _parsed(await _response(stream))
    if status != "101":
        raise ConnectionFailedError("the upgrade is answered with " + status, "websocket")
    accept = binascii.b2a_base64(hashlib.sha1(key + _GUID).digest()).strip().decode()
    if headers.get("sec-websocket-accept") != accept:
        raise ConnectionFailedError("the upgrade's answer is to another", "websocket")
    if headers.get("sec-websocket-protocol") != protocol:
        raise ConnectionFailedError("the hub does not speak " + protocol, "websocket")
    return WebSocket(stream)


async def _response(stream):
    """The answer up to its empty line, byte by byte: what follows it is not HTTP's."""
    response = bytearray()
    byte = bytearray(1)
    while response[-4:] != b"\r\n\r\n":
        if len(response) >= _MAX_RESPONSE or not await stream.readinto(byte):
            raise ConnectionFailedError("the upgrade has no answer", "websocket")
        response.extend(byte)
    return response


def _parsed(response):
    try:
        lines = bytes(response).decode().split("\r\n")
    except UnicodeError:
        raise ConnectionFailedError("the upgrade's answer is no text", "websocket")
    words = lines[0].split(" ")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return (words[1] if len(words) > 1 and words[0][:5] == "HTTP/" else "no HTTP"), headers


def masked(data, mask):
    """`data` under a mask of four bytes."""
    out = bytearray(data)
    wide = int.from_bytes(mask * (_MASKED // 4), "big")
    for at in range(0, len(out), _MASKED):
        piece = out[at : at + _MASKED]
        size = len(piece)
        number = int.from_bytes(piece, "big") ^ (wide >> 8 * (_MASKED - size))
        out[at : at + size] = number.to_bytes(size, "big")
    return out


class WebSocket:
    """A stream like the one below it. Pings are answered; a close ends it as an end does."""

    copies = True

    def __init__(self, stream):
        self._stream = stream
        self._left = 0  # bytes of the data frame that is being read
        self._open = True
        self._writing = asyncio.Lock()  # the reader answers pings beside the writer

    @property
    def stage(self):
        return self._stream.stage

    async def write(self, data):
        """Send `data`, as one binary frame."""
        await self._frame(_BINARY, data)

    async def _frame(self, opcode, data):
        size = len(data)
        mask = os.urandom(4)
        if size < 126:
            head = bytes((0x80 | opcode, 0x80 | size))
        elif size < 65536:
            head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
        async with self._writing:
            await self._stream.write(head + mask + masked(data, mask))

    async def readinto(self, buffer):
        """Read what has arrived of the data, at most len(buffer) bytes; 0 at the peer's end."""
        while self._open and not self._left:
            await self._next()
        if not self._open:
            return 0
        size = min(len(buffer), self._left)
        size = await self._stream.readinto(memoryview(buffer)[:size])
        self._left -= size
        return size

    async def _next(self):
        """Take frames up to the next one with data."""
        first, second = await self._exactly(2)
        opcode, size = first & 15, second & 127
        if second & 0x80 or first & 0x70:
            raise ProtocolError("a WebSocket frame that no server sends", "read")
        if size > 125:
            size = int.from_bytes(await self._exactly(2 if size == 126 else 8), "big")
        if opcode in (_CONTINUED, _BINARY):
            self._left = size
            return
        if opcode not in (_CLOSE, _PING, _PONG) or size > 125:
            raise ProtocolError("a WebSocket frame of another kind", "read")
        payload = await self._exactly(size)
        if opcode == _PING:
            await self._frame(_PONG, payload)
        elif opcode == _CLOSE:
            self._open = False
            await self._frame(_CLOSE, payload[:2])

    async def _exactly(self, size):
        data = bytearray(size)
        at = 0
        while at < size:
            got = await self._stream.readinto(memoryview(data)[at:])
            if not got:
                raise ConnectionDroppedError("the hub closed the connection", "read")
            at += got
        return data

    def close(self):
        """Close at once; whoever reads or writes must have been cancelled before."""
        self._stream.close()
