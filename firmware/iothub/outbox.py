"""Outbox: telemetry that waits for a connection, in RAM or in flash.

    outbox = Outbox("/outbox")
    client = IoTHubDeviceClient.create_from_connection_string(text, outbox=outbox)

With it `await client.send_message(message)` returns once the hub has the message or, where there
is no connection, once the outbox keeps it. What it keeps is sent in order when there is one, with
the time at which it was accepted ($.ctime), and is removed once the hub has acknowledged it.
While the connection stands nothing is written to flash. It keeps what a property bag has room for:
values as text, and of AMQP's properties those that MQTT has too. One outbox a folder.
"""

import asyncio
import time

from .compat import AutoResetEvent, Future, const
from .errors import ServiceError, TransportError
from .messages import Message
from .mqtt.properties import decode_message, telemetry_topic, write_property

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


class OutboxFullError(TransportError):
    """The outbox has no room, and is to drop the newest: the message was not accepted."""


class QueuedMessage(Future):
    """A message from acceptance to acknowledgement; awaited, it is kept, or the hub has it."""

    seq = None  # in the queue, once it is there
    task = None  # the one that sends it
    outcome = None  # True, or the error with which sending ended

    def __init__(self, bag, payload, message=None, accepted=None):
        super().__init__()
        self.bag = bag
        self.payload = payload
        self.message = message  # the sender's own, for the first time that it is sent
        self.accepted = accepted  # in seconds, of time.time(); None: the bag has a time already

    def take(self):
        """The Message: the sender's own for the first time, then one that is the same."""
        message, self.message = self.message, None
        if message is None:
            message = Message(self.payload)
            decode_message(self.bag.decode(), message)
        return message


def is_permanent(outcome):
    """Whether the same message would be refused again."""
    if isinstance(outcome, ServiceError):
        return outcome.code not in _BUSY
    return isinstance(outcome, (TypeError, ValueError))  # it cannot be written


def with_creation_time(bag, seconds):
    """The bag, with the time at which its message was accepted, if the clock was set then."""
    date = time.gmtime(seconds)
    if date[0] < _CLOCK_IS_SET:
        return bag
    bag = bytearray(bag)
    write_property(bag, 0, "$.ctime", "%04d-%02d-%02dT%02d:%02d:%02dZ" % date[:6])
    return bytes(bag)


class Outbox:
    """path: a folder in flash, or None for RAM. limit: bytes (64 KB in flash, 8 KB in RAM).

    drop: when it is full, "oldest" gives up what has waited longest (in flash about an eighth of
    `limit` at once), "newest" refuses what comes: OutboxFullError.
    dropped, refused: messages given up, and those that the hub refused for good; len(outbox):
    those that wait. ValueError: an argument is out of bounds; OSError: the flash fails.
    """

    def __init__(self, path=None, limit=None, drop="oldest"):
        if drop not in ("oldest", "newest"):
            raise ValueError("drop is oldest or newest")
        if limit is None:
            limit = 8192 if path is None else 65536
        if limit < 256:
            raise ValueError("limit is less than 256 bytes")
        if path is None:
            from .ram_queue import RamQueue

            self._queue = RamQueue(limit)
        else:
            from .flash_queue import FlashQueue

            self._queue = FlashQueue(path, limit)  # type: ignore[assignment]
        self._limit = limit
        self._keep_oldest = drop == "newest"
        self.dropped = self.refused = 0
        self._send = self._report = None
        self._window = 0
        self._accepted = []  # neither kept nor on their way
        self._in_flight = []  # on their way, in order; at the most a window
        self._connected = False  # there is a connection, or one is being made
        self._paused = False  # nothing more is to be sent on it
        self._changed = AutoResetEvent()
        self._task = None

    def __len__(self):
        """How many messages wait."""
        queue = self._queue
        unkept = [one for one in self._in_flight if one.seq is None]
        return queue.end - queue.first + len(unkept) + len(self._accepted)

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

        ValueError: at QoS 0 nothing says what has arrived.
        """
        if not options["qos"]:
            raise ValueError("an outbox needs qos 1")
        self._send, self._report = send, report
        self._window = options["window"]

    def on_state(self, state):
        """The Supervisor's state. While there is a connection, or one is being made, messages are
        sent; while it is about to be closed none is begun; else all is kept before this returns.
        """
        self._paused = state == "stopping"
        if not self._paused:
            self._connected = state in ("connecting", "connected")
            if not self._connected:
                # What is on its way is taken back: it bears its time when it is sent again.
                self._settle()
                self._requeue()
                self._persist()
            self._wake()

    def close(self):
        """The client is shut down. Another client may start the outbox again."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for one in self._in_flight:
            one.task.cancel()
        self._in_flight = []
        self._queue.rewind()
        self._queue.close()

    def put(self, message):
        """Accept a Message: a QueuedMessage, to be awaited. Giving up the wait does not stop it.

        OutboxFullError; OSError: the flash fails.
        """
        bag, payload = bytes(telemetry_topic(b"", message)), bytes(message.payload())
        if self._queue.cost(bag, payload) + 64 > self._limit:
            raise ValueError("a message larger than the outbox")
        if len(bag) > _MAX_BAG:
            raise ValueError("properties of more than 64 KB")
        accepted = None if message.creation_time_utc is not None else time.time()
        if not isinstance(message.data, (bytes, str)):
            message = None  # the program may change it once it is kept, and still on its way
        queued = QueuedMessage(bag, payload, message, accepted)
        self._accepted.append(queued)
        self._wake()
        return queued

    # -- the task ---------------------------------------------------------------------------

    def _wake(self):
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        self._changed.set()

    async def _run(self):
        while True:
            await self._changed
            try:
                if not self._settle():
                    self._requeue()
                    await asyncio.sleep(1)  # a hub that is busy is not asked again at once
                if self._connected:
                    self._fill()
                if not self._connected or len(self._accepted) > self._window:
                    self._persist()
            except Exception as error:  # the flash: what is done with may be sent once more
                self._report(error)

    def _fill(self):
        """Send what the window has room for: what is kept, then what was accepted since."""
        while len(self._in_flight) < self._window and not self._paused:
            record = self._queue.next()
            if record is not None:
                queued = QueuedMessage(record[1], record[2])
                queued.seq = record[0]
            elif self._accepted:
                queued = self._accepted.pop(0)
            else:
                return
            self._in_flight.append(queued)
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
            self._in_flight.pop(0)
            if queued.seq is not None:
                if queued.seq < self._queue.first:
                    self.dropped -= 1  # it was given up, but too late
                self._queue.acknowledge(queued.seq)
            elif queued.outcome is True:
                queued.set_result()
            else:
                queued.set_exception(queued.outcome)
        return True

    def _requeue(self):
        """Nothing is on its way any more: begin again with the oldest."""
        for one in self._in_flight:
            one.task.cancel()
            one.outcome = None
        self._accepted = [one for one in self._in_flight if one.seq is None] + self._accepted
        self._in_flight = []
        self._queue.rewind()

    def _persist(self):
        """Put all that is not kept into the queue; who waits for it need not wait any more."""
        queue, batch = self._queue, []
        for one in [one for one in self._in_flight if one.seq is None] + self._accepted:
            if one.accepted is not None:
                one.bag, one.accepted = with_creation_time(one.bag, one.accepted), None
            if self._make_room(batch, one):
                batch.append(one)
            else:
                self._refuse(one)
        self._accepted = []
        if not batch:
            return
        try:
            seq = self._append(batch)
        except Exception as error:
            for one in batch:
                self._refuse(one, error)
            self._report(error)
            return
        for one in batch:
            one.seq = seq
            seq += 1
            one.set_result()
        for one in self._in_flight:
            if one.seq is not None:
                queue.rewind(one.seq + 1)  # it is on its way already

    def _append(self, batch):
        queue = self._queue
        while True:
            try:
                return queue.append([(one.bag, one.payload) for one in batch])
            except OSError as error:  # others may have filled the flash, whatever the limit
                if error.args[0] != _ENOSPC or self._keep_oldest or queue.first == queue.end:
                    raise
            self.dropped += queue.drop_oldest()

    def _make_room(self, batch, one):
        queue = self._queue
        size = sum([queue.cost(other.bag, other.payload) for other in batch])
        size += queue.cost(one.bag, one.payload)
        while not queue.room(size):
            if self._keep_oldest:
                return False
            if queue.first < queue.end:
                self.dropped += queue.drop_oldest()
            elif batch:
                oldest = batch.pop(0)
                size -= queue.cost(oldest.bag, oldest.payload)
                self._refuse(oldest)
            else:
                return False
        return True

    def _refuse(self, one, error=None):
        if one not in self._in_flight:  # such a one may arrive yet
            self.dropped += 1
            one.set_exception(error or OutboxFullError("the outbox is full", "outbox"))
