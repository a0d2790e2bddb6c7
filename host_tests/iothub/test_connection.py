"""iothub.connection over a stream in memory: states, tasks, keep-alive, token, back-off."""

import asyncio
import errno

from host_tests.support.memory_stream import MemoryStream
from host_tests.support.raises import raises
from host_tests.support.tasks import failure, turns
from host_tests.support.transitions import drive
from iothub import connection as module
from iothub.compat import AutoResetEvent, Future, ticks_ms, unix_time
from iothub.connection import Connection, KeepAlive
from iothub.errors import (
    HEAP_FULL,
    ConnectionDroppedError,
    CredentialError,
    OperationTimeout,
    ProtocolError,
)
from iothub.sas import sas_token

OPENING, OPEN, DRAINING, CLOSED = "opening", "open", "draining", "closed"


class Protocol:
    """A protocol that sends what the test puts into `out`, and keeps what it is told."""

    stage = "connack"

    def __init__(self, *out):
        self.output = AutoResetEvent()
        self.accepted = Future()
        self.out = list(out)
        self.fed = bytearray()
        self.reused = []
        self.failed = []
        self.refuse = None  # what feed() raises

    def put(self, data):
        self.out.append(data)
        self.output.set()

    def pump(self):
        return bool(self.out)

    def take(self):
        return bytearray(self.out.pop(0) if self.out else b"")

    def reuse(self, out):
        self.reused.append(bytes(out))

    def feed(self, data):
        if self.refuse is not None:
            raise self.refuse
        self.fed.extend(data)

    def fail(self, error):
        if not self.accepted.done():
            self.accepted.set_exception(error)
        self.failed.append(error)

    def goodbye(self):
        self.out.append(b"bye")


def made(*out, timeout=10, keep_alive=60, copies=False):
    """(Connection, Protocol, MemoryStream), before they are opened."""
    protocol = Protocol(*out)
    return Connection(protocol, timeout, keep_alive), protocol, MemoryStream(copies)


async def opened(*out, **settings):
    """The same, once the peer has accepted."""
    connection, protocol, stream = made(b"hello", *out, **settings)
    protocol.accepted.set_result("welcome")
    assert await connection.open(stream) == "welcome"
    connection.set_open()
    await stream.has_written(b"hello")
    return connection, protocol, stream


async def released(connection, stream):
    """After open() has failed its owner releases the Connection: nothing of it is left."""
    connection.release(ConnectionDroppedError("it was given up", "connack"))
    assert connection.state == CLOSED
    assert connection.closed.done()
    assert stream.closed
    await turns()
    connection.release(OSError())


def on_loop(main):
    return asyncio.run(asyncio.wait_for(main(), 20))


# -- the states ---------------------------------------------------------------------------------


def in_state(state):
    made_one = made()[0]
    path = {
        OPENING: (),
        OPEN: ("accepted",),
        DRAINING: ("accepted", "drain"),
        CLOSED: ("abort",),
    }[state]
    for event in path:
        made_one.fire(event)
    return made_one


def test_every_pair_of_state_and_event():
    assert drive(module, in_state) == {
        ("accepted", OPENING): OPEN,
        ("drain", OPEN): DRAINING,
        ("resume", DRAINING): OPEN,
        ("abort", OPENING): CLOSED,
        ("abort", OPEN): CLOSED,
        ("abort", DRAINING): CLOSED,
        # One that is closed stays closed, whatever happens.
        ("accepted", CLOSED): CLOSED,
        ("drain", CLOSED): CLOSED,
        ("resume", CLOSED): CLOSED,
        ("abort", CLOSED): CLOSED,
    }


def test_it_is_up_from_its_acceptance_to_its_end():
    assert [in_state(state).is_up() for state in module.STATES] == [False, True, True, False]


# -- opening ------------------------------------------------------------------------------------


def test_only_the_first_flight_leaves_before_the_peer_accepts():
    async def main():
        connection, protocol, stream = made(b"hello")
        opening = asyncio.create_task(connection.open(stream))
        await stream.has_written(b"hello")
        protocol.put(b"more")
        await turns()
        assert stream.written == b""
        assert connection.state == OPENING
        protocol.accepted.set_result(True)
        assert await opening is True
        await stream.has_written(b"more")
        assert stream.writes == [b"hello", b"more"]
        assert connection.state == OPENING  # until all that it needs is there
        connection.set_open()
        assert connection.state == OPEN
        connection.release(OSError())

    on_loop(main)


def test_a_handshake_goes_on_before_the_peer_accepts():
    async def main():
        connection, protocol, stream = made(b"hello")
        opening = asyncio.create_task(connection.open(stream, handshake=True))
        await stream.has_written(b"hello")
        protocol.put(b"more")
        await stream.has_written(b"more")
        stream.send(b"answer")
        await turns()
        assert protocol.fed == b"answer"
        protocol.accepted.set_result("open")
        assert await opening == "open"
        connection.release(OSError())

    on_loop(main)


def test_refusal_closes_it():
    async def main():
        connection, protocol, stream = made(b"hello")
        refusal = CredentialError("no", "connack", 5)
        protocol.accepted.set_exception(refusal)
        assert await failure(connection.open(stream)) is refusal
        await released(connection, stream)
        assert len(protocol.failed) == 1

    on_loop(main)


def test_peer_that_never_accepts():
    async def main():
        connection, protocol, stream = made(b"hello", timeout=0.02)
        error = await failure(connection.open(stream))
        assert isinstance(error, OperationTimeout)
        assert error.stage == "connack"
        await released(connection, stream)
        assert isinstance(protocol.failed[0], ConnectionDroppedError)

    on_loop(main)


def test_network_that_does_not_take_the_first_flight():
    async def main():
        connection, _, stream = made(b"hello", timeout=0.02)
        stream.block()
        error = await failure(connection.open(stream))
        assert isinstance(error, OperationTimeout)
        assert error.stage == "write"  # the stream's own stage
        await released(connection, stream)

    on_loop(main)


def test_peer_that_closes_before_it_accepts():
    async def main():
        connection, _, stream = made(b"hello")
        stream.end()
        error = await failure(connection.open(stream))
        assert isinstance(error, ConnectionDroppedError)
        assert error.stage == "read"
        await released(connection, stream)
        assert connection.closed.value is error

    on_loop(main)


def test_open_that_is_cancelled_is_released():
    async def main():
        connection, _, stream = made(b"hello")
        opening = asyncio.create_task(connection.open(stream))
        await stream.has_written(b"hello")
        await turns()
        opening.cancel()
        try:
            await opening
        except asyncio.CancelledError:
            await released(connection, stream)
            return True
        return False

    assert on_loop(main)


def test_loss_between_acceptance_and_open_is_raised():
    async def main():
        connection, protocol, stream = made(b"hello")
        protocol.accepted.set_result(None)
        await connection.open(stream)
        stream.end()
        await turns()
        assert connection.state == CLOSED
        error = raises(ConnectionDroppedError, connection.set_open)
        assert error is connection.closed.value
        connection.release(error)
        assert stream.closed

    on_loop(main)


# -- while it stands ----------------------------------------------------------------------------


def test_what_comes_is_fed_and_what_is_put_leaves():
    async def main():
        connection, protocol, stream = await opened()
        before = connection.keep_alive.last_received
        stream.send(b"x" * 1000)  # more than the reader's buffer
        await turns()
        assert protocol.fed == b"x" * 1000
        assert connection.keep_alive.last_received >= before
        protocol.put(b"one")
        protocol.put(b"two")
        await stream.has_written(b"onetwo")
        assert connection.keep_alive.writing is None
        assert protocol.reused == []
        connection.release(OSError())

    on_loop(main)


def test_buffer_is_given_back_only_where_the_stream_has_copied_it():
    async def main():
        connection, protocol, stream = await opened(copies=True)
        protocol.put(b"one")
        await stream.has_written(b"one")
        await turns()
        assert protocol.reused == [b"one"]
        connection.release(OSError())

    on_loop(main)


def test_answer_to_what_is_fed_leaves_by_itself():
    async def main():
        connection, protocol, stream = await opened()
        protocol.out.append(b"answer")  # as feed() would, without a word to anybody
        stream.send(b"question")
        await stream.has_written(b"answer")
        connection.release(OSError())

    on_loop(main)


def test_write_that_is_stuck_is_seen_by_the_keep_alive():
    async def main():
        connection, protocol, stream = await opened()
        stream.block()
        protocol.put(b"stuck")
        await turns()
        since = connection.keep_alive.writing
        assert since is not None
        assert connection.keep_alive.overdue(since + 10000, None, "puback") is None
        overdue = connection.keep_alive.overdue(since + 10001, None, "puback")
        assert overdue.stage == "write"
        stream.unblock()
        await stream.has_written(b"stuck")
        await turns()
        assert connection.keep_alive.writing is None
        connection.release(OSError())

    on_loop(main)


def test_all_that_may_end_it():
    async def main():
        for stage, error in (
            ("read", None),
            ("read", ConnectionDroppedError("reset", "read")),
            ("read", ProtocolError("no packet", "read")),
            ("write", ConnectionDroppedError("reset", "write")),
            ("memory", MemoryError()),
        ):
            connection, protocol, stream = await opened()
            if error is None:
                stream.end()
            elif isinstance(error, (ProtocolError, MemoryError)):
                protocol.refuse = error
                stream.send(b"x")
            elif stage == "read":
                stream.fail(error)
            else:
                stream.close()
                protocol.put(b"x")
            ended = await connection.closed
            assert connection.state == CLOSED
            assert ended.stage == stage
            kind = type(error) if isinstance(error, ProtocolError) else ConnectionDroppedError
            assert type(ended) is kind
            assert protocol.failed == [ended]
            connection.release(ended)
            assert stream.closed

    on_loop(main)


def test_error_without_a_stage_gets_that_of_the_task():
    async def main():
        for error, stage, text in (
            (MemoryError(), "memory", "memory: the heap is full"),
            (UnicodeError("no text"), None, "UnicodeError: no text"),
            (IndexError("out of range"), None, "IndexError: out of range"),
            (OSError(errno.ECONNRESET), None, "OSError: ECONNRESET"),
            (OperationTimeout("late"), None, "OperationTimeout: late"),
        ):
            for task in ("read", "write"):
                connection, protocol, stream = await opened()

                def fail(_size=None, error=error):
                    raise error

                if task == "read":
                    protocol.feed = fail
                    stream.send(b"x")
                else:
                    stream.write = fail
                    protocol.put(b"x")
                ended = await connection.closed
                assert type(ended) is ConnectionDroppedError
                assert ended.stage == stage or task
                assert str(ended) == (text if stage else task + ": " + text)
                assert protocol.failed == [ended]
                connection.release(ended)

    on_loop(main)


def test_full_heap_leaves_no_error_without_a_stage():
    """There is no memory for an error with a stage."""

    async def main():
        connection, protocol, _ = await opened()

        def no_memory(*_):
            raise MemoryError()

        kind, module.ConnectionDroppedError = module.ConnectionDroppedError, no_memory
        error = UnicodeError("no text")
        try:
            connection.abort(error)
        finally:
            module.ConnectionDroppedError = kind
        assert connection.closed.value is HEAP_FULL
        assert protocol.failed == [HEAP_FULL]
        connection.release(error)

    on_loop(main)


def test_it_is_aborted_once_with_the_first_error():
    async def main():
        connection, protocol, stream = await opened()
        first = OperationTimeout("late", "ping")
        connection.abort(first)
        connection.abort(OSError("second"))
        assert await connection.closed is first
        assert protocol.failed == [first]
        connection.release(OSError("third"))
        connection.release(OSError("fourth"))
        assert connection.closed.value is first
        assert stream.closed

    on_loop(main)


# -- the end ------------------------------------------------------------------------------------


def test_close_says_good_bye_behind_all_that_waits():
    async def main():
        connection, protocol, stream = await opened()
        error = ConnectionDroppedError("closed by us", "disconnect")
        protocol.goodbye = lambda: protocol.out.append(b"bye")
        await connection.close(error)
        assert stream.writes == [b"hello", b"bye"]
        assert stream.closed
        assert connection.closed.value is error

    on_loop(main)


def test_good_bye_leaves_behind_the_write_that_is_under_way():
    async def main():
        connection, protocol, stream = await opened()
        stream.block()
        protocol.put(b"one")
        await turns()
        protocol.put(b"two")
        closing = asyncio.create_task(connection.close(ConnectionDroppedError("x", "x")))
        await turns()
        assert stream.writes == [b"hello"]
        protocol.take = lambda out=protocol.out: bytearray(b"".join(out))
        stream.unblock()
        await closing
        # What is not written yet leaves with it, in order.
        assert stream.writes == [b"hello", b"one", b"twobye"]
        assert stream.closed

    on_loop(main)


def test_good_bye_waits_for_a_patient_ones_peer_to_end_it():
    async def main():
        connection, protocol, stream = await opened()
        connection.patience = 10
        error = ConnectionDroppedError("closed by us", "disconnect")
        closing = asyncio.create_task(connection.close(error))
        await stream.has_written(b"bye")
        await turns()
        assert not closing.done() and not stream.closed
        assert connection.state == CLOSED
        assert protocol.failed == [error]  # what waits for it is told at once
        stream.send(b"last")
        stream.end()
        await closing
        assert protocol.fed == b"last"
        assert stream.closed
        assert connection.closed.value is error
        assert protocol.failed == [error]

    on_loop(main)


def test_peer_that_does_not_end_it_is_not_waited_for_long():
    async def main():
        connection, _, stream = await opened()
        connection.patience = 0.02
        error = ConnectionDroppedError("closed by us", "disconnect")
        await connection.close(error)
        assert stream.writes == [b"hello", b"bye"]
        assert stream.closed
        assert connection.closed.value is error

    on_loop(main)


def test_good_bye_needs_tls_and_no_refusal():
    async def main():
        for refused in (False, True):
            connection, protocol, stream = made(b"hello")
            connection.patience = 0.02
            if refused:
                protocol.accepted.set_exception(CredentialError("no", "connack", 5))
            else:
                stream.stage = "tls"
                stream.block()
            opening = asyncio.create_task(connection.open(stream))
            await turns()
            await connection.close(ConnectionDroppedError("given up", "x"))
            assert stream.writes == ([b"hello"] if refused else [])
            assert stream.closed
            opening.cancel()
            try:
                await opening
            except (asyncio.CancelledError, Exception):
                pass

    on_loop(main)


def test_good_bye_that_cannot_be_said_in_time():
    async def main():
        connection, _, stream = await opened(timeout=0.02)
        stream.block()
        error = await failure(connection.close(OSError()))
        assert isinstance(error, OperationTimeout)
        assert error.stage == "disconnect"
        assert connection.state == CLOSED
        assert stream.closed

    on_loop(main)


def test_close_of_a_connection_that_is_gone_says_nothing():
    async def main():
        connection, _, stream = await opened()
        stream.end()
        await connection.closed
        await connection.close(OSError())
        assert stream.writes == [b"hello"]
        assert stream.closed

    on_loop(main)


def test_reader_ends_with_what_the_peer_sends():
    async def main():
        connection, protocol, stream = await opened()
        connection.fire("drain")
        stream.send(b"last")
        stream.end()
        await connection.reader
        assert protocol.fed == b"last"
        assert connection.state == CLOSED
        assert isinstance(connection.closed.value, ConnectionDroppedError)
        connection.release(OSError())

    on_loop(main)


# -- the token ----------------------------------------------------------------------------------


def token(life):
    return sas_token("h/devices/d", "A" * 43 + "=", unix_time() + life)


def test_token_is_due_between_80_and_90_percent_of_its_life():
    waits = set()
    for _ in range(30):
        connection = made()[0]
        shown = token(1000)
        before = ticks_ms()
        connection.token_accepted(shown)
        since, after = connection.renewal
        waits.add(after)
        assert connection.token is shown
        assert 999 <= connection.token_life <= 1000
        assert before <= since <= ticks_ms()
        assert 799200 <= after < 900000
        assert not connection.renewal_due(since + int(after) - 1)
        assert connection.renewal_due(since + int(after) + 1)
    assert len(waits) > 10  # a fleet does not renew at once


def test_what_has_no_end_is_never_due():
    for shown in (None, "a password"):
        connection = made()[0]
        connection.token_accepted(token(1000))
        connection.token_accepted(shown)
        assert connection.renewal is None
        assert not connection.renewal_due(ticks_ms() + 400000000)


def test_life_of_a_token_that_is_over():
    connection = made()[0]
    connection.token_accepted(token(-5))
    assert connection.token_life == 0
    assert connection.renewal_due(ticks_ms() + 1)


# -- keep-alive ---------------------------------------------------------------------------------


def begun(timeout=10, keep_alive=60):
    return KeepAlive(timeout, keep_alive, 1000)


def test_ping_before_the_keep_alive_is_over():
    keep_alive = begun()
    assert not keep_alive.ping_due(1000 + 44999)
    assert keep_alive.ping_due(1000 + 45000)
    assert not keep_alive.ping_due(1000 + 45001)


def test_ping_when_only_one_side_speaks():
    keep_alive = begun()
    keep_alive.sent = 40000
    assert keep_alive.ping_due(46000)
    keep_alive = begun()
    keep_alive.received(40000)
    assert keep_alive.ping_due(46000)


def test_unanswered_ping_ends_the_connection_within_one_and_a_half_keep_alive():
    keep_alive = begun(timeout=100)
    assert keep_alive.ping_due(46000)
    assert keep_alive.overdue(46000 + 30000, None, "puback") is None
    assert keep_alive.overdue(46000 + 30001, None, "puback").stage == "ping"
    assert 46000 + 30001 - 1000 < 90000


def test_any_byte_answers_a_ping():
    keep_alive = begun()
    keep_alive.ping_due(46000)
    keep_alive.received(50000)
    assert keep_alive.overdue(99000, None, "puback") is None


def test_missing_acknowledgement():
    for stage in ("puback", "disposition"):
        keep_alive = begun()
        first, second = object(), object()
        assert keep_alive.overdue(2000, first, stage) is None
        assert keep_alive.overdue(12000, first, stage) is None
        error = keep_alive.overdue(12001, first, stage)
        assert isinstance(error, OperationTimeout)
        assert error.stage == stage
        assert keep_alive.overdue(12001, second, stage) is None
        assert keep_alive.overdue(12002, None, stage) is None


def test_stuck_write():
    keep_alive = begun()
    keep_alive.writing = 2000
    assert keep_alive.overdue(12000, None, "puback") is None
    assert keep_alive.overdue(12001, None, "puback").stage == "write"


def test_round_trip_is_that_of_the_last_question():
    keep_alive = begun()
    assert keep_alive.round_trip is None
    keep_alive.received(1080)  # the answer to the first flight
    assert keep_alive.round_trip == 80
    keep_alive.received(5000)  # nobody asked
    assert keep_alive.round_trip == 80
    assert keep_alive.ping_due(51000)
    keep_alive.received(51030)
    assert keep_alive.round_trip == 30
