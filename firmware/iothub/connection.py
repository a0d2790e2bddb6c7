"""Connection: one TLS stream with its reader and writer tasks and its keep-alive.

A Connection is opened once and closed once. The next connection is another object.

    opening --accepted--> open --drain--> draining --resume--> open
       any of them --abort--> closed

While it is draining a token handover is under way: what is queued still leaves, and what comes
is taken in, but no further telemetry is begun on it (see mqtt.handover).

Reading can be paused: what the peer sends waits in the network then, acknowledgements too. So it
lasts half of `timeout` at most.

The protocol is sans I/O. A Connection uses feed(bytes), pump() -> whether there is something to
take(), reuse(buffer), fail(error), goodbye(); `output`, an AutoResetEvent that is set when there
may be something to take; `accepted`, a Future for the peer's acceptance; and `stage`, its name.
"""

import asyncio

from . import errors
from .compat import (
    AutoResetEvent,
    Future,
    const,
    random,
    ticks_diff,
    ticks_ms,
    unix_time,
    wait_for,
)
from .errors import HEAP_FULL, ConnectionDroppedError, OperationTimeout, kept, reason

STATES = ("opening", "open", "draining", "closed")
EVENTS = ("accepted", "drain", "resume", "abort")
# For each event the next of STATES, by the state before; -: the event cannot happen then.
TRANSITIONS = b"1--3 -2-3 --13 3333"

_DAY = const(86400000)  # ms


class Connection:
    """See the module. timeout: seconds for each step; keep_alive: seconds, as in MQTT.

    closed: a Future whose value is the error that ended the connection. It has a stage.
    """

    patience = 0  # with a will: seconds for the peer to end the connection after good-bye

    def __init__(self, protocol, timeout, keep_alive):
        self.protocol = protocol
        self.state = STATES[0]
        self.closed = Future()
        self.keep_alive = None  # a KeepAlive, once there is a stream
        self._keep_alive = keep_alive
        self.token = None  # the SAS token that the peer accepted last,
        self.token_life = 0  # its life in seconds,
        self.renewal = None  # and (since when, after how many ms) it is to be renewed, in ticks
        self._timeout = timeout
        self.reader = self._writer = self._stream = None
        self.paused_since = None  # when reading was paused, in ticks
        self._resumed = None  # an AutoResetEvent, once it has been

    def fire(self, event):
        """Change the state, as TRANSITIONS has it. ValueError: the event cannot happen now."""
        # This takes no heap: a connection must come to its end where there is none.
        code = TRANSITIONS[EVENTS.index(event) * 5 + STATES.index(self.state)]
        if code < 48:
            raise ValueError("connection: %s while %s" % (event, self.state))
        self.state = STATES[code - 48]

    # -- opening and closing ----------------------------------------------------------------

    async def open(self, stream, handshake=False):
        """Send the first flight; return what the peer's acceptance says.

        handshake: the protocol writes more before the peer accepts (AMQP); MQTT's first flight
        is all that may leave before CONNACK. After an error release() it.
        """
        self._stream = stream
        protocol = self.protocol
        protocol.pump()
        first = protocol.take()
        if errors.logger:
            errors.logger(10, "write", len(first))
        await wait_for(stream.write(first), self._timeout, stream.stage)
        self.keep_alive = KeepAlive(self._timeout, self._keep_alive, ticks_ms())
        self.reader = asyncio.create_task(self._read())
        if handshake:
            self._writer = asyncio.create_task(self._write())
        answer = await wait_for(protocol.accepted, self._timeout, protocol.stage)
        if not handshake:
            self._writer = asyncio.create_task(self._write())
        protocol.output.set()
        return answer

    def is_up(self):
        """Whether it has been opened, and not closed yet."""
        return self.state in ("open", "draining")

    def set_open(self):
        """All that the connection needs is there. Its error, if it was lost meanwhile."""
        if self.closed.done():
            raise self.closed.value
        self.fire("accepted")

    def abort(self, error, stage="read"):
        """The connection is of no use any more: everything that waits for it fails.

        stage: where it ended, if the error does not say that.
        """
        if self.closed.done():
            return
        self.fire("abort")
        if not isinstance(error, Exception):  # the task that opened it was cancelled
            error = ConnectionDroppedError("it was given up", self.protocol.stage)
        error = kept(error)
        if getattr(error, "stage", None) is None:
            try:
                text = "%s: %s" % (type(error).__name__, reason(error))
                error = ConnectionDroppedError(text, stage)
            except MemoryError:
                error = HEAP_FULL
        self.closed.set_result(error)  # first: it takes no heap, and ends all that waits below
        self.protocol.fail(error)

    def release(self, error):
        """Abort it, and free what it holds. It takes no heap."""
        if self.reader is not None:
            self.reader.cancel()
        if self._writer is not None:
            self._writer.cancel()
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.close()
        self.abort(error)

    async def close(self, error):
        """Say good-bye, and release it; OSError if that could not be said in time."""
        stream, protocol = self._stream, self.protocol
        try:
            # Not in the TLS handshake, nor after a refusal.
            heard = (
                stream is not None and stream.stage == "write" and protocol.accepted.error is None
            )
            if heard and self.state != "closed" and self._writer is not None:
                writer, self._writer = self._writer, None
                protocol.output.set()
                # Cancelled in a write, it would leave half a packet before the good-bye.
                await wait_for(writer, self._timeout, "disconnect")
            if heard and self.state != "closed":
                protocol.goodbye()
                last = protocol.take()
                self.fire("abort")  # the peer's end is no loss any more
                await wait_for(stream.write(last), self._timeout, "disconnect")
                self.abort(error)
                if self.patience and self.reader is not None:
                    # Its end says that it has the good-bye. A board may reset next.
                    try:
                        await wait_for(self.reader, self.patience, "read")
                    except (OSError, asyncio.CancelledError):
                        pass  # it has had its time, or has been released meanwhile
        finally:
            self.release(error)

    def pause_reading(self, paused):
        """Leave what comes in the network, or read it again."""
        if self._resumed is None:
            self._resumed = AutoResetEvent()
        if paused:
            self.paused_since = ticks_ms()
        elif self.paused_since is not None:
            self.paused_since = None
            self.keep_alive.excuse(ticks_ms())
            self._resumed.set()

    def tick(self, now):
        """While nothing is read nobody owes anything; but that must not last: see the module."""
        if self.paused_since is not None:
            self.keep_alive.excuse(now)
            if ticks_diff(now, self.paused_since) > self._timeout * 500:
                self.pause_reading(False)

    # -- the tasks --------------------------------------------------------------------------

    async def _read(self):
        """Feed the protocol. The keep-alive bounds how long nothing may come."""
        buffer = bytearray(256)
        view = memoryview(buffer)
        stream, protocol, keep_alive = self._stream, self.protocol, self.keep_alive
        try:
            while True:
                while self.paused_since is not None:
                    await self._resumed
                size = await stream.readinto(buffer)
                if not size:
                    raise ConnectionDroppedError("the hub closed the connection", "read")
                keep_alive.received(ticks_ms())
                if errors.logger:
                    errors.logger(10, "read", size)
                protocol.feed(view[:size])
                # Once it has ended, telemetry that it took would not leave.
                if self.state != "closed" and protocol.pump():
                    protocol.output.set()
        except Exception as error:  # nothing reads on, so the connection ends
            if self.state != "closed":  # else close() has an error of its own
                self.abort(error)

    async def _write(self):
        """Send what the protocol has ready. The keep-alive bounds how long a write may take."""
        stream, protocol, keep_alive = self._stream, self.protocol, self.keep_alive
        try:
            while self._writer is not None:
                await protocol.output
                while self._writer is not None and self.state != "closed" and protocol.pump():
                    keep_alive.writing = ticks_ms()
                    data = protocol.take()
                    if errors.logger:
                        errors.logger(10, "write", len(data))
                    await stream.write(data)
                    if stream.copies:
                        protocol.reuse(data)
                    keep_alive.writing = None
                    keep_alive.sent = ticks_ms()
        except Exception as error:
            self.abort(error, "write")

    # -- the token --------------------------------------------------------------------------

    def token_accepted(self, token):
        """The peer has accepted `token` (None: it needs none). It is renewed after 80 to 90 % of
        its life: at random, so that a fleet does not renew at once.
        """
        self.renewal = None
        if token is not None and "&se=" in token:  # a mere password has no end
            self.token = token
            life = int(token.split("&se=")[1].split("&")[0]) - unix_time()
            self.token_life = max(0, life)
            self.renewal = ticks_ms(), self.token_life * (800 + 100 * random())

    def renewal_due(self, now):
        """Whether the token is to be renewed. It is asked once a second."""
        if self.renewal is None:
            return False
        since, after = self.renewal
        passed = ticks_diff(now, since)
        if passed > _DAY:  # ticks cannot tell a week: go on from here
            self.renewal = now, after - passed
        return passed > after


class KeepAlive:
    """When to ping, and when to give a connection up. No I/O: ticks in ms are passed in.

    timeout: how long the peer may owe an answer; keep_alive: MQTT's; both in seconds. Any
    received byte proves the peer alive.
    """

    def __init__(self, timeout, keep_alive, now):
        self._limit = timeout * 1000
        # A ping leaves in time for the hub's clock. Without an answer the connection ends before
        # the hub would end it: one and a half times the keep-alive after it heard the last of us.
        self._quiet = keep_alive * 750
        self._ping_limit = min(self._limit, keep_alive * 500)
        self.round_trip = None  # of the last question that was measured, in ms
        self.last_received = self.sent = self._asked = self._oldest_since = now
        self.writing = self._pinged = self._oldest = None

    def received(self, now):
        """Something came."""
        self.last_received = now
        self._pinged = None
        if self._asked is not None:
            self.round_trip, self._asked = ticks_diff(now, self._asked), None

    def excuse(self, now):
        """Nothing was read until now: what the peer has answered may wait to be read."""
        self.last_received = self._oldest_since = now
        self._pinged = None

    def overdue(self, now, oldest, stage):
        """The error that ends the connection, or None. `oldest`: what waits longest, or None."""
        if oldest is not self._oldest:
            self._oldest, self._oldest_since = oldest, now
        if self.writing is not None and ticks_diff(now, self.writing) > self._limit:
            return OperationTimeout("the network takes no more bytes", "write")
        if oldest is not None and ticks_diff(now, self._oldest_since) > self._limit:
            return OperationTimeout("no answer within %g s" % (self._limit / 1000), stage)
        if self._pinged is not None and ticks_diff(now, self._pinged) > self._ping_limit:
            return OperationTimeout("no answer to a ping", "ping")
        return None

    def ping_due(self, now):
        """Whether a PINGREQ is to be sent now; it is then taken to be on its way."""
        quiet = max(ticks_diff(now, self.last_received), ticks_diff(now, self.sent))
        if self._pinged is not None or quiet < self._quiet:
            return False
        self._pinged = self._asked = self.sent = now
        return True
