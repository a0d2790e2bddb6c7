"""MQTT and AMQP over WebSocket on the HTTPS port: binary messages, taken as one stream of bytes.

A packet may span messages, and a message may hold several packets. Source: spec iothub-mqtt and
iothub-amqp.
"""

import asyncio

from aiohttp import WSMsgType, web

from .. import amqp, mqtt
from .request import AMQP_PORT, CONTEXTS, CORE, admits_itself

PATHS = "/$iothub/websocket", "/$servicebus/websocket"
MAX_MESSAGE = 1024 * 1024
_LOW = 64 * 1024  # what may be on its way while drain() returns


class Wire:
    """A WebSocket as an asyncio reader, writer and transport, as far as connections use them."""

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
        """The next message's bytes, however many; b"" at the end."""
        message = await self._socket.receive()
        return message.data if message.type == WSMsgType.BINARY else b""

    def write(self, data):
        if data:
            self._queued += len(data)
            self._queue.put_nowait(bytes(data))

    async def drain(self):
        """Return when little is left to send; the caller bounds it."""
        while self._queued > _LOW:
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
        """Send what is written, until close()."""
        while (data := await self._queue.get()) is not None:
            await self._socket.send_bytes(data)
            self._queued -= len(data)
            self._sent.set()
        await self._socket.close()


def _mqtt(app, wire, chain):
    return mqtt.Connection(app[CORE], wire, wire, chain)


def _amqp(app, wire, chain):
    return amqp.Connection(app[CORE], wire, wire, chain, app[AMQP_PORT])


_CONNECTIONS = {"mqtt": _mqtt, "AMQPWSB10": _amqp}


@admits_itself  # MQTT and AMQP ask who it is
async def accept(request):
    """Serve one connection, of the protocol that the subprotocol names."""
    socket = web.WebSocketResponse(
        protocols=tuple(_CONNECTIONS), max_msg_size=MAX_MESSAGE, timeout=2
    )
    await socket.prepare(request)
    wire = Wire(socket, request.transport.get_extra_info("peername"))
    chain = request.app[CONTEXTS].chain(request.transport)
    sending = asyncio.create_task(wire.send())
    try:
        if socket.ws_protocol in _CONNECTIONS:
            await _CONNECTIONS[socket.ws_protocol](request.app, wire, chain).run()
        wire.close()
        await asyncio.wait([sending], timeout=5)
    finally:
        sending.cancel()
    return socket


def routes():
    return [web.get(path, accept) for path in PATHS]
