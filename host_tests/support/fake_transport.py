"""A transport without a network, for tests of what stands above it; for both interpreters."""

import asyncio

from iothub.compat import Future
from iothub.errors import ConnectionDroppedError


class FakeTransport:
    """Does what Transport in iothub/__init__.pyi says, as the test wants it.

    opening: how many open() calls are under way; most: how many were at once. opened: how many
    connections were made. calls: what else was asked of it, in order.
    """

    def __init__(self):
        self.outcomes = []  # of open() to come: None, an exception, or a Future to wait for
        self.opening = self.most = self.opened = 0
        self.closing = None  # a Future that close() waits for
        self.cancel_takes = 0  # turns of the loop that a cancelled open() takes to end
        self.calls = []
        self.ticks = 0
        self.tickers = []  # the task of each tick
        self.tick_error = None
        self.attempts = []  # what wanted() gave, attempt by attempt
        self.twin = None  # what open() gives
        self.credentials = self.renewal_lock = None
        self._closed = None  # of the connection that stands: a Future for its error

    # -- what a Supervisor asks for ---------------------------------------------------------

    async def open(self, wanted):
        self.opening += 1
        self.most = max(self.most, self.opening)
        try:
            await asyncio.sleep(0)
            self.attempts.append(wanted())
            outcome = self.outcomes.pop(0) if self.outcomes else None
            if isinstance(outcome, Future):
                await outcome
            elif outcome is not None:
                raise outcome
        except asyncio.CancelledError:
            for _ in range(self.cancel_takes):
                await asyncio.sleep(0)
            raise
        finally:
            self.opening -= 1
        self._closed = Future()
        self.opened += 1
        return self.twin

    async def wait_closed(self):
        return await self._closed

    def is_open(self):
        return self._closed is not None and not self._closed.done()

    async def close(self):
        self.calls.append("close")
        if self.closing is not None:
            await self.closing
        if self.is_open():
            self._closed.set_result(OSError("closed"))

    def prepare(self):
        """Nothing is to be loaded."""

    @property
    def connection(self):
        """Of a Connection abort() and release(), which are the same here."""
        return self

    def abort(self, error):
        if self.is_open():
            self._closed.set_result(error)

    release = abort

    def pause_reading(self, paused):
        self.calls.append(("pause", paused))

    async def redeliver(self, receipts):
        self.calls.append(("redeliver", receipts))

    def fail(self, error):
        self.calls.append(("fail", error))

    def tick(self, now):
        self.ticks += 1
        self.tickers.append(asyncio.current_task())
        if self.tick_error is not None:
            raise self.tick_error

    # -- for the test -----------------------------------------------------------------------

    def lose(self, error=None):
        """The connection ends."""
        self._closed.set_result(error or ConnectionDroppedError("gone", "read"))
