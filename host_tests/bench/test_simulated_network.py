"""tools/bench/simulated_network.py: delay, bandwidth, loss and counts, by a clock that the test
sets.
"""

import asyncio

from tools.bench.simulated_network import Conditions, Counts, Line, SimulatedNetwork
from tools.tcp_server import TcpServer

PATIENCE = 10
RECORD = b"\x17\x03\x03\x00\x04data"  # a TLS record of four bytes


class Timer:
    """A clock that the test sets ahead; of the calls that are due it makes the newest first."""

    def __init__(self):
        self._now = 0
        self.calls = []

    def time(self):
        return self._now

    def call_at(self, when, callback):
        self.calls.append((when, callback))

    @property
    def due(self):
        return [when for when, _ in self.calls]

    def go_on(self, now):
        self._now = now
        due = [callback for when, callback in self.calls if when <= now]
        self.calls = [call for call in self.calls if call[0] > now]
        for callback in reversed(due):
            callback()


class Server:
    """Sends its greeting, echoes what it receives, and keeps it."""

    def __init__(self, greeting):
        self._greeting = greeting
        self.heard = b""

    async def serve(self, reader, writer):
        writer.write(self._greeting)
        while data := await reader.read(100):
            self.heard += data
            writer.write(data)
        writer.close()


async def until(true):
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0)


def run(scenario, greeting=b"", **conditions):
    """Run scenario(network, timer, server, reader, writer) with a connection through a network."""

    async def whole():
        server, timer = Server(greeting), Timer()
        async with (
            TcpServer(server.serve) as listening,
            SimulatedNetwork(listening.port, Conditions(**conditions), timer) as network,
        ):
            reader, writer = await asyncio.open_connection("localhost", network.port)
            await scenario(network, timer, server, reader, writer)
            writer.close()

    asyncio.run(asyncio.wait_for(whole(), PATIENCE))


def test_delays_of_several_chunks_do_not_add_up():
    line = Line(Conditions(round_trip=2))
    assert [line.due(0, 100), line.due(0.25, 100), line.due(5, 100)] == [1, 1.25, 6]


def test_limited_bandwidth_delays_the_next_chunk():
    line = Line(Conditions(round_trip=2, bandwidth=100))
    assert [line.due(0, 100), line.due(0, 50), line.due(9, 100)] == [2, 2.5, 11]


def test_loss_delays_later_chunks_only():
    line = Line(Conditions(round_trip=2, loss=250, retransmission=3))
    due = [line.due(0, 200), line.due(1, 100), line.due(2, 100), line.due(8, 50)]
    assert (due, line.losses) == ([1, 5, 5, 9], 1)


def test_tls_records_are_counted_in_any_pieces():
    counts = Counts()
    for piece in (RECORD * 2 + RECORD[:3], RECORD[3:7], RECORD[7:], RECORD[:5]):
        counts.add(piece)
    assert (counts.records, counts.chunks, counts.bytes) == (4, 4, 3 * len(RECORD) + 5)


def test_data_arrives_in_order_after_half_a_round_trip():
    async def scenario(network, timer, server, reader, writer):
        await until(lambda: network.connections)
        timer.go_on(10)
        (connection,) = network.connections
        for number in range(3):
            writer.write(b"%d" % number)
            await until(lambda number=number: connection.sent.chunks == number + 1)
        assert timer.due == [11, 11, 11]
        timer.go_on(11)
        await until(lambda: server.heard == b"012")
        await until(lambda: timer.due)
        assert set(timer.due) == {12}
        assert connection.received.bytes == 0
        timer.go_on(12)
        assert await reader.readexactly(3) == b"012"

    run(scenario, round_trip=2)


def test_first_bytes_are_delayed_by_the_tcp_handshake():
    async def scenario(network, timer, server, _, writer):
        writer.write(b"hello")
        await until(lambda: network.connections and network.connections[0].sent.chunks)
        assert timer.due == [3]
        timer.go_on(3)
        await until(lambda: server.heard == b"hello")

    run(scenario, round_trip=2)


def test_first_bytes_of_a_server_are_delayed_by_the_tcp_handshake():
    async def scenario(network, timer, server, reader, writer):
        await until(lambda: timer.due)
        assert timer.due == [4]
        timer.go_on(4)
        assert await reader.readexactly(5) == b"hello"

    run(scenario, greeting=b"hello", round_trip=2)


def test_turn_is_counted_when_the_client_sends_after_receiving():
    async def scenario(network, timer, _, reader, writer):
        await until(lambda: network.connections)
        (connection,) = network.connections
        for turn in (1, 2):
            for _ in range(2):  # a flight of two
                chunks = connection.sent.chunks
                writer.write(RECORD)
                await until(lambda chunks=chunks: connection.sent.chunks == chunks + 1)
            assert (connection.turns, connection.round_trips) == (turn, turn + 1)
            answer = asyncio.create_task(reader.readexactly(2 * len(RECORD)))
            while not answer.done():
                timer.go_on(timer.time() + 1)
                await asyncio.sleep(0)
        assert (connection.sent.records, connection.received.records) == (4, 4)

    run(scenario)


def test_end_of_stream_arrives_after_the_data():
    async def scenario(network, timer, server, reader, writer):
        writer.write(b"bye")
        writer.write_eof()
        # Once a connection that came later has been heard of, the end has been, too.
        _, later = await asyncio.open_connection("localhost", network.port)
        later.write(b"later")
        await until(lambda: len(network.connections) == 2 and network.connections[1].sent.chunks)
        later.transport.abort()
        timer.go_on(3)
        await until(lambda: b"bye" in server.heard)
        assert await reader.read() == b""

    run(scenario, round_trip=2)
