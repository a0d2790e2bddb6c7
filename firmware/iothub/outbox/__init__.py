"""Outbox: telemetry that waits for a connection, in RAM or in flash.

    outbox = Outbox("/outbox")
    client = IoTHubDeviceClient.create_from_connection_string(text, outbox=outbox)

With it `await client.send_message(message)` returns once the hub has the message or, where there
is no connection, once the outbox keeps it. What it keeps is sent in order when there is one, with
the time at which it was accepted ($.ctime), and is removed once the hub has acknowledged it.
While the connection stands nothing is written to flash: messages beyond the window wait, in order,
with their senders. It keeps what a property bag has room for: values as text, and of AMQP's
properties those that MQTT has too. A folder has one open outbox.

A message at which the hub closes the connection each time is given up: see _on_loss().
"""

import asyncio
import os
import time

from ..compat import AutoResetEvent, Future, const
from ..errors import ServiceError, TransportError, reason
from ..messages import Message
from ..mqtt.properties import decode_message, telemetry_topic, write_property

_ENOSPC = const(28)  # for which MicroPython's errno has no name
_MAX_BAG = const(64000)  # what an MQTT topic, and a record in flash, has room for
_CLOCK_IS_SET = const(2024)  # a board that was never told the time is in 2000 or 1970
# AMQP conditions that pass; with any other the hub would refuse the same message again.
_BUSY = (
    "amqp:resource-limit-exceeded",
    "amqp:internal-error",
    "com.microsoft:timeout",
    "com.microsoft:server-busy",
)


# After so many connections in a row that ended without an acknowledgement one message is sent at a
# time. Two such losses are no rarity on a bad link.
_SUSPICIOUS = const(3)
# After three more, each with the oldest message alone on its way, another one is tried first.
_TRIED = const(6)
_owners = {}  # folder: the Outbox that used it last


class OutboxError(TransportError):
    """The outbox could not keep a message, or gave one up."""


class OutboxFullError(OutboxError):
    """There is no room, and nothing that may be dropped for it: the message was not accepted."""


class QueuedMessage(Future):
    """A message from acceptance to acknowledgement; awaited, it is kept, or the hub has it.

    Until then it is the sender's own Message, without a copy.
    """

    def __init__(self, record, message=None, accepted=None):
        super().__init__()
        self.outbox = None  # type: Outbox  # who is told that the sender waits no more
        self.task = None  # the one that sends it
        self.outcome = None  # True, or the error with which sending ended
        self.seq, self.bag, self.payload = record  # seq: in the queue, once it is there
        self.message = message
        self.accepted = accepted  # in seconds, of time.time(); None: it has a time already

    def take(self):
        """The Message to send."""
        message = self.message
        if message is None:
            message = Message(self.payload)
            decode_message(self.bag.decode(), message)
        return message

    def freeze(self):
        """Be a copy, that the sender cannot change any more."""
        if self.message is not None:
            self.bag = bytes(telemetry_topic(b"", self.message))
            self.payload = bytes(self.message.payload())
            self.message = None

    def record(self):
        """What is to be kept: the property bag, with the time, and the body."""
        self.freeze()
        if self.accepted is not None:
            self.bag, self.accepted = with_creation_time(self.bag, self.accepted), None
        return self.bag, self.payload

    def abandoned(self):
        self.outbox.withdraw(self)


def is_permanent(outcome):
    """Whether the same message would be refused again."""
    if isinstance(outcome, ServiceError):
        return outcome.code not in _BUSY
    return isinstance(outcome, (TypeError, ValueError, OutboxError))  # it cannot be written


def with_creation_time(bag, seconds):
    """The bag, with the time at which its message was accepted, if the clock was set then."""
    date = time.gmtime(seconds)
    if date[0] < _CLOCK_IS_SET:
        return bag
    bag = bytearray(bag)
    write_property(bag, 0, "$.ctime", "%04d-%02d-%02dT%02d:%02d:%02dZ" % date[:6])
    return bytes(bag)


def absolute(path):
    """The same text for each way to write a path, but for symbolic links."""
    parts = []
    for part in (path if path.startswith("/") else os.getcwd() + "/" + path).split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


class Outbox:
    """path: a folder in flash, or None for RAM. limit: bytes (64 KB in flash, 8 KB in RAM).

    drop: when it is full, "oldest" gives up what has waited longest (in flash about an eighth of
    `limit` at once), "newest" refuses what comes: OutboxFullError.
    dropped: messages given up, because there was no room, or the flash failed. refused: those that
    the hub refused for good. len(outbox): those that wait. ValueError: an argument is out of
    bounds, or the folder is another outbox's; OSError: the flash fails.
    """

    quiet = 2  # seconds for which a connection stands, before a suspected message is sent

    def __init__(self, path=None, limit=None, drop="oldest"):
        if drop not in ("oldest", "newest"):
            raise ValueError("drop is oldest or newest")
        if limit is None:
            limit = 8192 if path is None else 65536
        if limit < 256:
            raise ValueError("limit is less than 256 bytes")
        self._folder = None if path is None else absolute(path)
        self.closed = False
        self._claim()
        self._limit = limit
        if path is None:
            from .ram_queue import RamQueue

            self._queue = RamQueue(limit)
        else:
            self._open()
        self._keep_oldest = drop == "newest"
        self.refused = self._dropped = 0
        self._send = self._report = None
        self._window = 0
        self._accepted = []  # neither kept nor on their way: their senders wait
        self._in_flight = []  # on their way, in order; at the most a window
        self._connected = False  # there is a connection, or one is being made
        self._paused = False  # nothing more is to be sent on it
        self._losses = 0  # connections in a row that ended without an acknowledgement
        self._proof = None  # a task that waits until the connection has stood for `quiet`
        self._proven = False  # it has
        self._eager = False  # do not wait for that on this connection
        self._left = 0
        self._changed = AutoResetEvent()
        self._task = None

    def _claim(self):
        """Be the only one that uses the folder; whether another one has used it meanwhile."""
        owner = _owners.get(self._folder, self)
        if owner is not self and not owner.closed:
            raise ValueError("another Outbox uses %s: close() it first" % self._folder)
        return owner is not self

    def _open(self):
        """Find what is kept in the folder."""
        from .flash_queue import FlashQueue

        self._queue = FlashQueue(self._folder, self._limit)  # type: ignore[assignment]
        _owners[self._folder] = self

    def __len__(self):
        """How many messages wait; of a closed outbox, how many it has left."""
        if self.closed:
            return self._left
        unkept = [one for one in self._in_flight if one.seq is None]
        return len(self._queue) + len(unkept) + len(self._accepted)

    @property
    def dropped(self):
        return self._dropped + self._queue.lost

    @property
    def damaged(self):
        """Bytes in flash that were found torn, or changed, and passed over."""
        return self._queue.damaged

    def status(self):
        """How many messages wait and were given up, and how many bytes are damaged: a dict."""
        return {"waiting": len(self), "dropped": self.dropped, "damaged": self.damaged}

    # -- for the client ---------------------------------------------------------------------

    def start(self, send, report, options):
        """Send by send(message) -> awaitable from now on; report(error) is told of failures.

        ValueError: at QoS 0 nothing says what has arrived; another outbox uses the folder.
        """
        if not options["qos"]:
            raise ValueError("an outbox needs qos 1")
        if self._claim():
            self._dropped += self._queue.lost
            self._open()
        self.closed = False
        self._send, self._report = send, report
        self._window = options["window"]

    def on_state(self, state):
        """The Supervisor's state. While there is a connection, or one is being made, messages are
        sent; while it is about to be closed none is begun; else all is kept before this returns.
        """
        lost = self._connected and not self._paused
        self._paused = state == "stopping"
        if self._paused:
            return
        proven, self._proven = self._proven, False
        if self._proof is not None:
            self._proof.cancel()
            self._proof = None
        self._connected = state in ("connecting", "connected")
        if not self._connected:
            self._settle()
            if lost:
                self._on_loss(proven)
            # What is on its way is taken back: it bears its time when it is sent again.
            self._requeue()
            self._persist()
        elif state == "connected" and self._losses >= _SUSPICIOUS:
            self._proof = asyncio.create_task(self._prove())
        self._wake()

    def close(self):
        """Keep what waits, and let go of the folder. A client may start the outbox again."""
        for task in (self._task, self._proof):
            if task is not None:
                task.cancel()
        self._task = self._proof = None
        self._connected = False
        self._requeue()
        self._persist()
        self._queue.close()
        self._left = len(self)
        self.closed = True

    def put(self, message):
        """Accept a Message: a QueuedMessage, to be awaited. A sender that gives up the wait takes
        the message back, unless it is kept, or on its way.

        OutboxFullError; OutboxError: the flash fails, or the outbox is closed.
        """
        if self.closed:
            raise OutboxError("it is closed: give it to a client first", "outbox")
        bag, payload = telemetry_topic(b"", message), message.payload()
        if self._queue.cost(bag, payload) + 64 > self._limit:
            raise ValueError("a message larger than the outbox")
        if len(bag) > _MAX_BAG:
            raise ValueError("properties of more than 64 KB")
        accepted = None if message.creation_time_utc is not None else time.time()
        queued = QueuedMessage((None, None, None), message, accepted)
        queued.outbox = self
        if not isinstance(message.data, (bytes, str)):
            queued.freeze()  # the program may change it while it waits
        self._wake()
        self._accepted.append(queued)
        return queued

    def withdraw(self, queued):
        """Nobody awaits a message any more."""
        if queued in self._accepted:
            self._accepted.remove(queued)
        else:
            queued.freeze()  # it is on its way, and may have to be sent again

    # -- the task ---------------------------------------------------------------------------

    def _wake(self):
        if self._task is None or self._task.done():  # a full heap may have ended it
            self._task = asyncio.create_task(self._run())
        self._changed.set()

    async def _run(self):
        while True:
            await self._changed
            try:
                busy = not self._settle()
                if busy:
                    self._requeue()
                if busy or not self._connected:
                    self._persist()
                if busy:
                    await asyncio.sleep(1)  # such a hub is not asked again at once
                if self._connected and not self._paused:
                    self._fill()
            except Exception as error:  # the flash: what is done with may be sent once more
                self._report(error)
                await asyncio.sleep(1)
                self._changed.set()

    def _take(self):
        """Take what is next into flight: what is kept, then what waits. False: there is none."""
        flight = self._in_flight
        try:
            record = self._queue.next()
            if record is not None:
                flight.append(QueuedMessage(record))
                return True
        except Exception:  # without heap for it: it must not be passed over
            last = flight[-1].seq if flight else None
            self._queue.rewind(0 if last is None else last + 1)
            raise
        if not self._accepted:
            return False
        flight.append(self._accepted[0])
        self._accepted.pop(0)
        return True

    def _fill(self):
        """Send what the window has room for."""
        flight = self._in_flight
        if self._losses >= _SUSPICIOUS and not self._eager:
            if self._proven:
                self._probe()
            return
        for one in flight:
            self._begin(one)  # those that _probe() has held back
        while len(flight) < self._window and self._take():
            self._begin(flight[-1])

    def _begin(self, queued):
        if queued.task is None:
            queued.task = asyncio.create_task(self._send_one(queued))

    async def _send_one(self, queued):
        # Not sooner: a task that is cancelled before it begins would leave it with the transport.
        # Tasks begin in the order in which they were made, and so do the messages leave.
        try:
            await self._send(queued.take())
            queued.outcome = True
        except Exception as error:
            queued.outcome = error
        self._changed.set()

    def _settle(self):
        """Be done with the oldest in flight that have arrived. False: one failed."""
        while self._in_flight and self._in_flight[0].outcome is not None:
            queued = self._in_flight[0]
            if is_permanent(queued.outcome):
                self.refused += 1
                self._report(queued.outcome)
            elif queued.outcome is not True:
                return False
            self._losses = 0
            self._in_flight.pop(0)
            if queued.seq is not None:
                if not self._queue.acknowledge(queued.seq):
                    self._dropped -= 1  # it was given up, but too late
            elif queued.outcome is True:
                queued.set_result()
            else:
                queued.set_exception(queued.outcome)
        return True

    def _requeue(self):
        """Nothing is on its way any more: begin again with the oldest."""
        for one in self._in_flight:
            if one.task is not None:
                one.task.cancel()
            one.task = one.outcome = None
        self._accepted = [one for one in self._in_flight if one.seq is None] + self._accepted
        self._in_flight = []
        self._queue.rewind()

    # -- a message at which the hub closes the connection -------------------------------------

    async def _prove(self):
        await asyncio.sleep(self.quiet)
        self._proven = True
        self._changed.set()

    def _held(self):
        """How many messages are held back while the one behind them is tried."""
        return max(0, self._losses - _TRIED + 1)

    def _probe(self):
        """Send one message alone: the oldest, or another, and then the oldest again."""
        flight, held = self._in_flight, self._held()
        if [one for one in flight if one.task is not None and one.outcome is None]:
            return
        if flight and flight[-1].task is not None:  # the hub takes another one
            self._begin(flight[0])
            return
        while len(flight) <= held and self._take():
            pass
        if len(flight) > min(held, 1):  # else nothing else waits, and nothing is blocked
            self._begin(flight[-1])

    def _on_loss(self, proven):
        """A connection was lost, or an attempt failed: find out whether a message is the cause.

        A message is given up only if the hub closes the connection at it, and takes another one:
        1. After some losses without an acknowledgement the oldest is sent alone, and only on a
           connection that has stood for a while without it. A bad link does not get so far.
        2. If each of these connections is lost too, one behind it is sent first, each time a
           later one. A hub that closes the connection at any message does not get further.
        3. Once the hub has taken that one, the oldest is sent again, on the same connection. If
           that connection is lost, the message is the cause.
        """
        flight = self._in_flight
        if self._losses >= _SUSPICIOUS and not proven:
            self._eager = not self._eager  # a link with short lives shall carry something, too
            return
        self._eager = False
        if not flight:
            return
        if self._held() and flight[0].task is not None and flight[-1].outcome is True:
            text = "a message of %d bytes is given up: the hub closes the connection each time"
            flight[0].task.cancel()  # the transport would send it again
            flight[0].outcome = OutboxError(text % len(flight[0].payload), "outbox")
            self._settle()
        elif self._held() >= min(len(flight), max(2, self._window) - 1):
            self._losses = _SUSPICIOUS  # there is no other one to be tried
        else:
            self._losses += 1

    # -- keeping ------------------------------------------------------------------------------

    def _persist(self):
        """Put all that is not kept into the queue; who waits for it need not wait any more.

        As many in one go as there is room for. Each is kept in its turn, and may then be dropped
        for those behind it.
        """
        waiting, failure = self._accepted, None
        count = len(waiting)
        while waiting:
            count = min(count, len(waiting))
            try:
                self._keep([one.record() for one in waiting[:count]])
            except Exception as error:
                if count > 1:
                    count //= 2
                    continue
                failure = self._refuse(waiting.pop(0), error) or failure
                continue
            for _ in range(count):
                waiting.pop(0).set_result()
        if failure is not None and self._report is not None:
            self._report(failure)

    def _keep(self, records):
        """Append records to the queue. OutboxFullError: there is no room."""
        while not self._append(records):
            dropped = None
            if len(records) == 1 and not self._keep_oldest:
                dropped = self._queue.drop_oldest()
            if dropped is None:
                raise OutboxFullError("it is full: send less, or give it more room", "outbox")
            self._dropped += dropped

    def _append(self, records):
        """Append them to the queue; False: there is no room."""
        queue = self._queue
        if not queue.room(sum([queue.cost(*record) for record in records])):
            return False
        try:
            queue.append(records)
        except OSError as error:  # others may have filled the flash, whatever the limit
            if error.args[0] != _ENOSPC:
                raise
            return False
        return True

    def _refuse(self, one, error):
        """A message cannot be kept. The error, if it is to be reported, or None."""
        self._dropped += 1
        if isinstance(error, OSError) and not isinstance(error, OutboxError):
            text = "%s cannot be written (%s): make it a folder that can, or free its flash"
            try:
                error = OutboxError(text % (self._folder, reason(error)), "outbox")
            except MemoryError as failure:  # there is no heap to say so
                error = failure
        one.set_exception(error)
        return None if isinstance(error, OutboxFullError) else error
