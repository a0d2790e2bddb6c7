"""Telemetry that waits for a connection, in memory or in flash.

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

from .bags import decode_message, telemetry, write_property
from .errors import NoConnectionError, ServiceError, TransportError
from .messages import Message
from .once import Bell, Once, coroutine

# AMQP conditions that pass; with any other the hub would refuse the same message again.
_BUSY = (
    "amqp:resource-limit-exceeded",
    "amqp:internal-error",
    "com.microsoft:timeout",
    "com.microsoft:server-busy",
)
_MAX_BAG = 64000  # what an MQTT topic, and a journal's record, has room for
_CLOCK_IS_SET = 2024  # a board that was never told the time is in 2000 or 1970


class OutboxFullError(TransportError):
    """The outbox has no room, and is to drop the newest: the message was not accepted."""


class Memory:
    """Messages in RAM: first <= seq < end wait. As iothub.journal.Journal, without files."""

    damaged = 0

    def __init__(self, limit):
        self._limit = limit
        self._size = 0
        self._kept = []  # (first, second), oldest first
        self.first = 0
        self._seq = 0

    @property
    def end(self):
        return self.first + len(self._kept)

    @staticmethod
    def cost(first, second):
        return 64 + len(first) + len(second)

    def room(self, size):
        return self._size + size <= self._limit

    def append(self, pairs):
        seq = self.end
        for pair in pairs:
            self._kept.append(pair)
            self._size += self.cost(*pair)
        return seq

    def done(self, seq):
        while self.first <= seq and self._kept:
            self.drop_oldest()

    def drop_oldest(self):
        self._size -= self.cost(*self._kept.pop(0))
        self.first += 1
        return 1

    def rewind(self, seq=0):
        self._seq = seq

    def next(self):
        seq = max(self._seq, self.first)
        if seq >= self.end:
            return None
        self._seq = seq + 1
        return (seq,) + self._kept[seq - self.first]

    def close(self):
        pass


class _Item(Once):
    """A message from send() to its acknowledgement; who sends it awaits it until it is kept."""

    seq = None  # in the store, once it is there
    carrier = None  # the task that brings it to the hub
    outcome = None  # True, or the error with which that ended

    def __init__(self, bag, payload, message=None, accepted=None):
        self.bag = bag
        self.payload = payload
        self.message = message
        self.accepted = accepted  # in seconds, of time.time(); None: the bag has a time already

    def take(self):
        """The Message: the sender's own for the first time, then one that is the same."""
        message, self.message = self.message, None
        if message is None:
            message = Message(self.payload)
            decode_message(self.bag.decode(), message)
        return message


class Outbox:
    """path: a folder in flash, or None for RAM. limit: bytes (64 KB in flash, 8 KB in RAM).

    drop: when it is full, "oldest" gives up what has waited longest (in flash about an eighth of
    `limit` at once), "newest" refuses what comes: OutboxFullError.
    dropped, refused: messages given up, and those that the hub refused for good; len(outbox):
    those that wait. ValueError: what is asked for makes no sense; OSError: the flash fails.
    """

    def __init__(self, path=None, limit=None, drop="oldest"):
        if drop not in ("oldest", "newest"):
            raise ValueError("drop is oldest or newest")
        if limit is None:
            limit = 8192 if path is None else 65536
        if limit < 256:
            raise ValueError("limit is less than 256 bytes")
        if path is None:
            self._store = Memory(limit)
        else:
            from .journal import Journal

            self._store = Journal(path, limit)  # type: ignore[assignment]
        self._limit = limit
        self._keep_oldest = drop == "newest"
        self.dropped = self.refused = 0
        self._fresh = []  # neither kept nor on their way
        self._transit = []  # on their way, in order; at the most a window
        self._open = False  # there is a connection, or one is being made
        self._bell = Bell()
        self._task = None

    def __len__(self):
        """How many messages wait."""
        store = self._store
        return (
            store.end
            - store.first
            + len([i for i in self._transit if i.seq is None])
            + len(self._fresh)
        )

    @property
    def damaged(self):
        """Bytes in flash that were found torn, or changed, and passed over."""
        return self._store.damaged

    # -- what the client says ---------------------------------------------------------------

    def attach(self, client, transport, options):
        """Send by `transport` from now on. ValueError: at QoS 0 nothing says what has arrived."""
        if not options["qos"]:
            raise ValueError("an outbox needs qos 1")
        self._client = client
        self._transport = transport
        self._window = options["window"]

    def moved(self, connecting):
        """There is a connection, or soon; or there is none: all is kept before this returns."""
        self._open = connecting
        if not connecting:
            # What is on its way is taken back, for it shall bear its time when it goes out again.
            self._settle()
            self._again()
            self._keep()
        self._ring()

    def close(self):
        """The client is shut down."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for item in self._transit:
            item.carrier.cancel()
        self._transit = []
        self._store.rewind()
        self._store.close()
        self._client._outbox = None  # it may be another's soon, and an attempt still under way

    def send_message(self, message):
        """Accept a Message. To be awaited; who gives up waiting may find it sent all the same.

        OutboxFullError; NoConnectionError: the client is shut down; OSError: the flash fails.
        """
        client = self._client
        if client._closed:
            raise NoConnectionError("the client has been shut down")
        bag, payload = bytes(telemetry(b"", message)), bytes(message.payload())
        if self._store.cost(bag, payload) + 64 > self._limit:
            raise ValueError("a message larger than the outbox")
        if len(bag) > _MAX_BAG:
            raise ValueError("properties of more than 64 KB")
        accepted = None if message.creation_time_utc is not None else time.time()
        if not isinstance(message.data, (bytes, str)):
            message = None  # the program may change it once it is kept, and still on its way
        item = _Item(bag, payload, message, accepted)
        alone = not self._open and client._retry is None and not self._fresh
        if alone and client._options["auto_connect"]:
            client._run(client._ready)
        self._fresh.append(item)
        self._ring()
        return coroutine(item)

    # -- the work ---------------------------------------------------------------------------

    def _ring(self):
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        self._bell.ring()

    async def _run(self):
        while True:
            await self._bell
            try:
                if not self._settle():
                    self._again()
                    await asyncio.sleep(1)  # whatever it was, not at once
                if self._open:
                    self._fill()
                if not self._open or len(self._fresh) > self._window:
                    self._keep()
            except Exception as error:  # the flash: what is done with may be sent once more
                self._client.problem(error)

    def _fill(self):
        """Send what the window has room for: what is kept, then what is fresh."""
        while len(self._transit) < self._window and self._client._wanted:
            record = self._store.next()
            if record is not None:
                item = _Item(record[1], record[2])
                item.seq = record[0]
            elif self._fresh:
                item = self._fresh.pop(0)
            else:
                return
            self._transit.append(item)
            item.carrier = asyncio.create_task(self._carry(item))

    async def _carry(self, item):
        # Not sooner: a task that is cancelled before it begins would leave it with the transport.
        # Tasks begin in the order in which they were made, and so do the messages leave.
        try:
            await self._transport.send_message(item.take())
            item.outcome = True
        except Exception as error:
            item.outcome = error
        self._bell.ring()

    def _settle(self):
        """Be done with the oldest in transit that have arrived. False: one failed."""
        while self._transit and self._transit[0].outcome is not None:
            item = self._transit[0]
            if _final(item.outcome):
                self.refused += 1
                self._client.problem(item.outcome)
            elif item.outcome is not True:
                return False
            self._transit.pop(0)
            if item.seq is not None:
                if item.seq < self._store.first:
                    self.dropped -= 1  # it was given up, but too late
                self._store.done(item.seq)
            else:
                item.settle(item.outcome if item.outcome is not True else None)
        return True

    def _again(self):
        """Nothing is on its way any more: begin again with the oldest."""
        for item in self._transit:
            item.carrier.cancel()
            item.outcome = None
        self._fresh = [item for item in self._transit if item.seq is None] + self._fresh
        self._transit = []
        self._store.rewind()

    def _keep(self):
        """Put all that is not kept into the store; who waits for it need not any more."""
        store, items = self._store, []
        for item in [item for item in self._transit if item.seq is None] + self._fresh:
            if item.accepted is not None:
                item.bag, item.accepted = _dated(item.bag, item.accepted), None
            if self._make_room(items, item):
                items.append(item)
            else:
                self._refuse(item)
        self._fresh = []
        if not items:
            return
        try:
            seq = store.append([(item.bag, item.payload) for item in items])
        except Exception as error:
            for item in items:
                self._refuse(item, error)
            self._client.problem(error)
            return
        for item in items:
            item.seq = seq
            seq += 1
            item.settle()
        for item in self._transit:
            if item.seq is not None:
                store.rewind(item.seq + 1)  # it is on its way already

    def _make_room(self, items, item):
        store = self._store
        size = sum([store.cost(one.bag, one.payload) for one in items])
        size += store.cost(item.bag, item.payload)
        while not store.room(size):
            if self._keep_oldest:
                return False
            if store.first < store.end:
                self.dropped += store.drop_oldest()
            elif items:
                oldest = items.pop(0)
                size -= store.cost(oldest.bag, oldest.payload)
                self._refuse(oldest)
            else:
                return False
        return True

    def _refuse(self, item, error=None):
        if item not in self._transit:  # such a one may arrive yet
            self.dropped += 1
            item.settle(error or OutboxFullError("the outbox is full", "outbox"))


def _final(outcome):
    """Whether the same message would be refused again."""
    if isinstance(outcome, ServiceError):
        return outcome.code not in _BUSY
    return isinstance(outcome, (TypeError, ValueError))  # it cannot be written


def _dated(bag, seconds):
    """The bag, with the time at which its message was accepted; a wrong clock says nothing."""
    date = time.gmtime(seconds)
    if date[0] < _CLOCK_IS_SET:
        return bag
    bag = bytearray(bag)
    write_property(bag, 0, "$.ctime", "%04d-%02d-%02dT%02d:%02d:%02dZ" % date[:6])
    return bytes(bag)
