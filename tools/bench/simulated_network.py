"""A simulated network between clients and a local server: delay, bandwidth, loss, counts.

It is a port before the server's, and counts what passes. Delays do not add up: what is written at
time t arrives at t + round_trip / 2, with any number of chunks under way. A lost segment is sent
again, as TCP does it: nothing is missing, but what follows waits for the retransmission time.

Loopback accepts a connection at once, TCP takes a round trip for it. So what the client writes
leaves one round trip after it has connected at the earliest, and what the server writes leaves one
and a half after it, when the client's ACK would arrive: the first answer is there after two round
trips, as over TCP. connect() itself returns at once: take a time from connect() to an answer.
"""

import asyncio
import contextlib
from collections import deque
from typing import NamedTuple

from ..tcp_server import TcpServer

_CHUNK = 65536
_UNDER_WAY = 1 << 20  # bytes in one direction before its sender has to wait, as for TCP's window
_HEADER = 5  # bytes of a TLS record before its content (RFC 5246, 6.2.1)


class Conditions(NamedTuple):
    """round_trip and retransmission in seconds, bandwidth in bytes a second each way (None: no
    limit). loss: the number of bytes in one direction after which a segment is lost, repeatedly;
    0: none.
    """

    round_trip: float = 0
    bandwidth: float | None = None
    loss: int = 0
    retransmission: float = 0.2


class Line:
    """One direction: due(now, size) gives the arrival time of a chunk that is written at `now`.

    opens: the time before which nothing leaves. Times are the caller's, in seconds.
    """

    def __init__(self, conditions, opens=0):
        self._conditions = conditions
        self._free = opens
        self._last = opens
        self._passed = 0  # bytes since the last loss
        self.losses = 0

    def due(self, now, size):
        conditions = self._conditions
        self._free = max(now, self._free)
        if conditions.bandwidth:
            self._free += size / conditions.bandwidth
        arrival = self._free + conditions.round_trip / 2
        self._passed += size
        if conditions.loss and self._passed >= conditions.loss:
            self._passed %= conditions.loss
            self.losses += 1
            arrival += conditions.retransmission
        self._last = max(self._last, arrival)  # nothing overtakes what was lost
        return self._last


class Counts:
    """Counters of one direction: bytes, chunks (as read from the socket), TLS records."""

    def __init__(self):
        self.bytes = self.chunks = self.records = 0
        self._header = b""
        self._rest = 0  # of the content of the record that has begun

    def add(self, data):
        self.bytes += len(data)
        self.chunks += 1
        while data:
            if self._rest:
                step = min(self._rest, len(data))
                self._rest -= step
            else:
                step = _HEADER - len(self._header)
                self._header += data[:step]
                if len(self._header) == _HEADER:
                    self.records += 1
                    self._rest, self._header = int.from_bytes(self._header[3:], "big"), b""
            data = data[step:]


class Connection:
    """What the client of one connection has `sent` and `received` (Counts). turns: how often it
    sent something after it had received something, the first time included.
    """

    def __init__(self, began):
        self.began = began  # by the clock of the timer
        self.sent, self.received = Counts(), Counts()
        self.turns = 0
        self._sending = False

    @property
    def round_trips(self):
        """One for TCP's connection, and one for each turn."""
        return 1 + self.turns

    def count(self, data, sending):
        if sending and not self._sending:
            self.turns += 1
        self._sending = sending
        (self.sent if sending else self.received).add(data)


class SimulatedNetwork:
    """async with SimulatedNetwork(the server's port, Conditions(…)) as network: connect to
    network.port.

    server: the TcpServer that clients connect to, which can refuse them. connections: the
    Connections so far. timer: whose time() and call_at() count, instead of the event loop's.
    """

    def __init__(self, upstream, conditions=Conditions(), timer=None):  # noqa: B008 (immutable)
        self._upstream = upstream
        self._conditions = conditions
        self._timer = timer
        self.server = TcpServer(self._serve)
        self.connections = []

    @property
    def port(self):
        return self.server.port

    async def __aenter__(self):
        self._timer = self._timer or asyncio.get_running_loop()
        await self.server.listen()
        return self

    async def __aexit__(self, *error):
        await self.server.__aexit__(*error)

    async def _serve(self, reader, writer):
        began, trip = self._timer.time(), self._conditions.round_trip
        connection = Connection(began)
        self.connections.append(connection)
        up_reader, up_writer = await asyncio.open_connection("localhost", self._upstream)
        out = Line(self._conditions, began + trip)
        back = Line(self._conditions, began + 1.5 * trip)
        pumps = [
            asyncio.create_task(self._pump(reader, up_writer, out, connection, True)),
            asyncio.create_task(self._pump(up_reader, writer, back, connection, False)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            up_writer.close()

    async def _pump(self, reader, writer, line, connection, sending):
        """Carry one direction; its end arrives no earlier than the data."""
        under_way, size = deque(), 0
        arrived = asyncio.Event()

        def arrive():
            # The oldest chunk, whichever timer this is: timers due at once come in any order.
            nonlocal size
            data = under_way.popleft()
            size -= len(data)
            arrived.set()
            if not sending:
                connection.count(data, sending)
            if not writer.is_closing():
                writer.write(data)

        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if sending:
                    connection.count(data, sending)
                under_way.append(data)
                size += len(data)
                self._timer.call_at(line.due(self._timer.time(), len(data)), arrive)
                while size > _UNDER_WAY:
                    arrived.clear()
                    await arrived.wait()
                await writer.drain()
        while under_way:
            arrived.clear()
            await arrived.wait()
