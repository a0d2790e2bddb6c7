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

from .compat import const
from .errors import NoConnectionError, TransportError
from .future import Bell, coroutine
from .mqtt.properties import telemetry
from .parcel import Parcel, dated, final

_ENOSPC = const(28)  # for which MicroPython's errno has no name
_MAX_BAG = const(64000)  # what an MQTT topic, and a journal's record, has room for


class OutboxFullError(TransportError):
    """The outbox has no room, and is to drop the newest: the message was not accepted."""


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
            from .ram_queue import Memory

            self._store = Memory(limit)
        else:
            from .flash_queue import Journal

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
        for parcel in self._transit:
            parcel.carrier.cancel()
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
        parcel = Parcel(bag, payload, message, accepted)
        alone = not self._open and client._retry is None and not self._fresh
        if alone and client._options["auto_connect"]:
            client._run(client._ready)
        self._fresh.append(parcel)
        self._ring()
        return coroutine(parcel)

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
                parcel = Parcel(record[1], record[2])
                parcel.seq = record[0]
            elif self._fresh:
                parcel = self._fresh.pop(0)
            else:
                return
            self._transit.append(parcel)
            parcel.carrier = asyncio.create_task(self._carry(parcel))

    async def _carry(self, parcel):
        # Not sooner: a task that is cancelled before it begins would leave it with the transport.
        # Tasks begin in the order in which they were made, and so do the messages leave.
        try:
            await self._transport.send_message(parcel.take())
            parcel.outcome = True
        except Exception as error:
            parcel.outcome = error
        self._bell.ring()

    def _settle(self):
        """Be done with the oldest in transit that have arrived. False: one failed."""
        while self._transit and self._transit[0].outcome is not None:
            parcel = self._transit[0]
            if final(parcel.outcome):
                self.refused += 1
                self._client.problem(parcel.outcome)
            elif parcel.outcome is not True:
                return False
            self._transit.pop(0)
            if parcel.seq is not None:
                if parcel.seq < self._store.first:
                    self.dropped -= 1  # it was given up, but too late
                self._store.done(parcel.seq)
            else:
                parcel.settle(parcel.outcome if parcel.outcome is not True else None)
        return True

    def _again(self):
        """Nothing is on its way any more: begin again with the oldest."""
        for parcel in self._transit:
            parcel.carrier.cancel()
            parcel.outcome = None
        self._fresh = [parcel for parcel in self._transit if parcel.seq is None] + self._fresh
        self._transit = []
        self._store.rewind()

    def _keep(self):
        """Put all that is not kept into the store; who waits for it need not any more."""
        store, parcels = self._store, []
        for parcel in [parcel for parcel in self._transit if parcel.seq is None] + self._fresh:
            if parcel.accepted is not None:
                parcel.bag, parcel.accepted = dated(parcel.bag, parcel.accepted), None
            if self._make_room(parcels, parcel):
                parcels.append(parcel)
            else:
                self._refuse(parcel)
        self._fresh = []
        if not parcels:
            return
        try:
            seq = self._append(parcels)
        except Exception as error:
            for parcel in parcels:
                self._refuse(parcel, error)
            self._client.problem(error)
            return
        for parcel in parcels:
            parcel.seq = seq
            seq += 1
            parcel.settle()
        for parcel in self._transit:
            if parcel.seq is not None:
                store.rewind(parcel.seq + 1)  # it is on its way already

    def _append(self, parcels):
        store = self._store
        while True:
            try:
                return store.append([(parcel.bag, parcel.payload) for parcel in parcels])
            except OSError as error:  # others may have filled the flash, whatever the limit
                if error.args[0] != _ENOSPC or self._keep_oldest or store.first == store.end:
                    raise
            self.dropped += store.drop_oldest()

    def _make_room(self, parcels, parcel):
        store = self._store
        size = sum([store.cost(one.bag, one.payload) for one in parcels])
        size += store.cost(parcel.bag, parcel.payload)
        while not store.room(size):
            if self._keep_oldest:
                return False
            if store.first < store.end:
                self.dropped += store.drop_oldest()
            elif parcels:
                oldest = parcels.pop(0)
                size -= store.cost(oldest.bag, oldest.payload)
                self._refuse(oldest)
            else:
                return False
        return True

    def _refuse(self, parcel, error=None):
        if parcel not in self._transit:  # such a one may arrive yet
            self.dropped += 1
            parcel.settle(error or OutboxFullError("the outbox is full", "outbox"))
