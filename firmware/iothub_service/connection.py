"""A connection that a service keeps: made again when it is lost, with what was attached to it.

A part is what wants a link: attach(wire) -> the Answers to come, and what came of it as
received(receiver, number, payload) and detached(error).
"""

import asyncio

from iothub.amqp.wire import Wire
from iothub.deadline import Answer, within
from iothub.errors import ConnectionDroppedError, NoConnectionError, OperationCancelled
from iothub.retry import Backoff


class Channel:
    """One Wire and its parts. problem(error) is told what went wrong behind the caller's back."""

    def __init__(self, options, host, port, hostname, container_id, signer, problem):
        self.problem = problem
        self.wire = Wire(self, options, host, port, hostname, container_id, signer, 16384)
        self._options = options
        self._parts = []
        self._backoff = Backoff()
        self._connecting = None  # the task that does, and the Answer for whoever waits for it
        self._connected = None
        self._closed = False

    async def add(self, part):
        """Attach a part, now and at every connection to come. TransportError, RefusedError."""
        await self.ready()
        self._parts.append(part)
        try:
            await self.wire.attached(*part.attach(self.wire))
        except BaseException:
            self._parts.remove(part)
            raise

    def remove(self, part):
        """Detach a part for good."""
        if part in self._parts:
            self._parts.remove(part)
            if self.wire.open:
                part.leave()
                self.wire.wake()

    async def ready(self):
        """Be connected. The first attempt says why it fails; a lost connection is waited for."""
        if self._closed:
            raise NoConnectionError("the client has been closed")
        if self.wire.up:
            return
        if self._connecting is None:
            self._begin(self._first)
        await within(self._options["operation_timeout"], "open", self._connected.wait())

    def _begin(self, attempts):
        self._connected = Answer()
        self._connecting = asyncio.create_task(attempts())

    async def _connect(self):
        await self.wire.connect()
        try:
            answers = []
            for part in self._parts:
                answers += part.attach(self.wire)
            await self.wire.attached(*answers)
            self.wire.welcome()
        except BaseException:
            await self.wire.hang_up(ConnectionDroppedError("it was given up", "attach"))
            raise
        self.wire.wake()
        self._connecting = None
        self._connected.give()

    async def _first(self):
        try:
            await self._connect()
        except Exception as error:
            self._connecting = None
            self._connected.fail(error)

    async def _again(self):
        while not self.wire.up:
            await asyncio.sleep(self._backoff.next())
            try:
                await self._connect()
                self._backoff.reset()
            except Exception as error:  # whatever it was, the next attempt may do better
                self.problem(error)

    async def close(self):
        """Close for good; whoever waits is told so."""
        self._closed = True
        error = OperationCancelled("the client was closed", "close")
        if self._connecting is not None:
            self._connecting.cancel()
            self._connected.fail(error)
        await self.wire.disconnect()
        for part in list(self._parts):
            part.detached(error)
        self._parts = []

    # -- what the wire says -----------------------------------------------------------------

    def lost(self, error):
        """The connection is gone."""
        self.problem(error)
        if not self._closed and self._connecting is None:
            self._begin(self._again)

    def expiring(self):
        """Never: a service signs its tokens itself."""

    def received(self, receiver, number, payload):
        receiver.about.received(receiver, number, payload)

    def oversized(self, receiver, number, size, head):
        from iothub.oversized import OversizedError

        error = OversizedError("message", size, self._options["max_inbound"])
        self.problem(error)
        receiver.about.oversized(receiver, number, error)

    def settled(self, delivery, state):
        for part in self._parts:
            part.settled(delivery, state)

    def detached(self, link, error):
        part = link.about
        if part in self._parts:
            self._parts.remove(part)
        part.detached(error)

    def due(self, now):
        """What waits longest for an answer, of all parts; None: nothing."""
        for part in self._parts:
            oldest = part.oldest(now)
            if oldest is not None:
                return oldest
        return None


class Part:
    """The base of a channel's parts: it has nothing to wait for."""

    link = None  # type: Any  # type: ignore[name-defined]

    def detached(self, error):
        """The hub has ended the link."""

    def oldest(self, now):
        """What waits longest to be settled, or None."""
        return

    def settled(self, delivery, state):
        """The hub has settled a Delivery, of this part or of another."""

    def oversized(self, receiver, number, error):
        """A message was over max_inbound, and not kept."""
        receiver.session.owner.done(receiver, number)

    def leave(self):
        """Detach the link; what waits is not waited for any more."""
        if self.link is not None and self.link.attached:
            self.link.detach()
            self.link = None


class Inbox(Part):
    """A part that receives: what has come waits for `async for`, one after the other."""

    def __init__(self):
        self._items = []
        self._arrived = asyncio.Event()
        self._error = None

    def put(self, item):
        self._items.append(item)
        self._arrived.set()

    def detached(self, error):
        self._error = error
        self._arrived.set()

    def __aiter__(self):
        return self

    async def __anext__(self):
        """The next item, however long it takes: the wire tells a dead connection by itself."""
        while not self._items:
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()
        return self._items.pop(0)
