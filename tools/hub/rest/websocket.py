"""MQTT over WebSocket on the HTTPS port: binary messages, taken as one stream of bytes.

A packet may span messages, and a message may hold several packets. Source: spec iothub-mqtt.
"""

import asyncio

from aiohttp import WSMsgType, web

from ..mqtt import Connection
from .request import CONTEXTS, CORE

PATHS = "/$iothub/websocket", "/$servicebus/websocket"
MAX_MESSAGE = 1024 * 1024


class Wire:
    """A WebSocket as an asyncio reader, writer and transport, as far as Connection uses them."""

    def __init__(self, socket, peer):
        self._socket = socket
        self._peer = peer
        self._queue = asyncio.Queue()
        self._queued = 0
        self.transport = self

    def get_extra_info(self, name):
        return self._peer if name == "peername" else None

    def get_write_buffer_size(self):
        return self._queued

    async def read(self, size):
        """The next message's bytes, however many; b"" at the end."""
        message = await self._socket.receive()
        return message.data if message.type == WSMsgType.BINARY else b""

    def write(self, data):
        if data:
            self._queued += len(data)
            self._queue.put_nowait(bytes(data))

    def close(self):
        self._queue.put_nowait(None)

    def abort(self):
        transport = self._socket.get_extra_info("transport")
        if transport is not None:
            transport.abort()
        self.close()

    async def send(self):
        """Send what is written, until close()."""
        while (data := await self._queue.get()) is not None:
            await self._socket.send_bytes(data)
            self._queued -= len(data)
        await self._socket.close()


async def accept(request):
    """Serve one device; the subprotocol must be mqtt."""
    socket = web.WebSocketResponse(protocols=("mqtt",), max_msg_size=MAX_MESSAGE, timeout=2)
    await socket.prepare(request)
    wire = Wire(socket, request.transport.get_extra_info("peername"))
    sending = asyncio.create_task(wire.send())
    try:
        if socket.ws_protocol == "mqtt":
            chain = request.app[CONTEXTS].chain(request.transport)
            await Connection(request.app[CORE], wire, wire, chain).run()
        wire.close()
        await asyncio.wait([sending], timeout=5)
    finally:
        sending.cancel()
    return socket


def routes():
    return [web.get(path, accept) for path in PATHS]
