"""A connection that a service keeps: made again when it is lost, with what was attached to it.

A part is what wants a link: attach(wire) -> the Answers to come, and what came of it as
received(receiver, number, payload), detached(error), lost().
"""

import asyncio

from ..deadline import within
from ..errors import (
    ConnectionDroppedError,
    NoConnectionError,
    OperationCancelled,
    RefusedError,
)
from ..retry import Backoff
from .wire import Wire


class Channel:
    """One Wire and its parts. problem(error) is told what went wrong behind the caller's back."""

    def __init__(self, options, host, port, hostname, container_id, signer, problem):
        self.problem = problem
        self.wire = Wire(self, options, host, port, hostname, container_id, signer, 16384)
        self._options = options
        self._parts = []
        self._backoff = Backoff()
        self._online = asyncio.Event()
        self._connecting = None
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
            self._connecting = asyncio.create_task(self._connect())
            try:
                await within(self._options["operation_timeout"], "open", self._connecting)
            finally:
                self._connecting = None
        else:
            await within(self._options["operation_timeout"], "open", self._online.wait())

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
        self._online.set()

    async def _again(self):
        while not self._closed and not self.wire.up:
            await asyncio.sleep(self._backoff.next())
            try:
                await self._connect()
                self._backoff.reset()
            except (OSError, RefusedError) as error:
                self.problem(error)
        self._connecting = None

    async def close(self):
        """Close for good; whoever waits is told so."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        await self.wire.disconnect()
        for part in list(self._parts):
            part.detached(OperationCancelled("the client was closed", "close"))
        self._parts = []

    # -- what the wire says -----------------------------------------------------------------

    def lost(self, error):
        """The connection is gone."""
        self._online.clear()
        self.problem(error)
        for part in self._parts:
            part.lost()
        if not self._closed and self._connecting is None:
            self._connecting = asyncio.create_task(self._again())

    def received(self, receiver, number, payload):
        receiver.about.received(receiver, number, payload)

    def oversized(self, receiver, number, size):
        self.problem(ValueError("dropped a message of %d bytes: over max_inbound" % size))
        receiver.settle(number)
        receiver.grant()

    def settled(self, delivery, state):
        done = getattr(delivery, "done", None)
        if done is not None:
            done(delivery, state)

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
    """The base of a channel's parts: it has nothing to wait for, and shrugs at a loss."""

    link = None

    def lost(self):
        pass

    def detached(self, error):
        """The hub has ended the link."""

    def oldest(self, now):
        return None

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
