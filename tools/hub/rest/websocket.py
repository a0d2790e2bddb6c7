"""MQTT and AMQP over WebSocket on the HTTPS port: binary messages, taken as one stream of bytes.

A packet may span messages, and a message may hold several packets. Source: docs/protocol/mqtt.md,
"WebSocket".
"""

import asyncio

from aiohttp import WSMsgType, web

from .. import amqp, mqtt
from .request import AMQP_PORT, CONTEXTS, CORE, authenticates_itself

PATHS = "/$iothub/websocket", "/$servicebus/websocket"
MAX_MESSAGE = 1024 * 1024
_LOW_WATER = 64 * 1024  # bytes left to send at which drain() returns


class WebSocketStream:
    """A WebSocket with the methods of asyncio's reader, writer and transport that a front uses."""

    def __init__(self, socket, peer):
        self._socket = socket
        self._peer = peer
        self._queue = asyncio.Queue()
        self._queued = 0
        self._sent = asyncio.Event()
        self.transport = self

    def get_extra_info(self, name):
        return self._peer if name == "peername" else None

    def get_write_buffer_size(self):
        return self._queued

    async def read(self, size):
        """The bytes of the next message, whatever `size` says; b"" at the end."""
        message = await self._socket.receive()
        return message.data if message.type == WSMsgType.BINARY else b""

    def write(self, data):
        if data:
            self._queued += len(data)
            self._queue.put_nowait(bytes(data))

    async def drain(self):
        """Wait until little is left to send; the caller sets the deadline."""
        while self._queued > _LOW_WATER:
            self._sent.clear()
            await self._sent.wait()

    def close(self):
        self._queue.put_nowait(None)

    def abort(self):
        transport = self._socket.get_extra_info("transport")
        if transport is not None:
            transport.abort()
        self.close()

    async def send(self):
        """Send what is written, until close() is called."""
        while (data := await self._queue.get()) is not None:
            await self._socket.send_bytes(data)
            self._queued -= len(data)
            self._sent.set()
        await self._socket.close()


def _mqtt(app, stream, chain):
    return mqtt.Connection(app[CORE], stream, stream, chain)


def _amqp(app, stream, chain):
    return amqp.Connection(app[CORE], stream, stream, chain, app[AMQP_PORT])


_CONNECTIONS = {"mqtt": _mqtt, "AMQPWSB10": _amqp}


@authenticates_itself  # MQTT and AMQP authenticate the device
async def accept(request):
    """Serve one connection of the protocol that the WebSocket subprotocol names."""
    socket = web.WebSocketResponse(
        protocols=tuple(_CONNECTIONS), max_msg_size=MAX_MESSAGE, timeout=2
    )
    await socket.prepare(request)
    stream = WebSocketStream(socket, request.transport.get_extra_info("peername"))
    chain = request.app[CONTEXTS].chain(request.transport)
    sending = asyncio.create_task(stream.send())
    try:
        if socket.ws_protocol in _CONNECTIONS:
            await _CONNECTIONS[socket.ws_protocol](request.app, stream, chain).run()
        stream.close()
        await asyncio.wait([sending], timeout=5)
    finally:
        sending.cancel()
    return socket


def routes():
    return [web.get(path, accept) for path in PATHS]
