"""Inbox: what the hub sent, handed to the program's handlers in order, by one worker task.

Loaded with the first handler for cloud-to-device messages or for desired properties.
"""

import asyncio

from .compat import AutoResetEvent, const

_MAX_WAITING = const(50)


class OversizedError(ValueError):
    """Something of `size` bytes came, at `stage`: over max_inbound, so it was not kept."""

    def __init__(self, stage, size, limit):
        super().__init__("%s: %d bytes came; max_inbound is %d" % (stage, size, limit))
        self.stage = stage
        self.size = size


class Inbox:
    """Items wait here for the worker. Those with a receipt die with their connection."""

    def __init__(self, dispatcher, transport, _options):
        self._dispatcher = dispatcher
        self._transport = transport
        self._items = []  # (receipt or None, coroutine function, argument …), oldest first
        self._arrived = AutoResetEvent()
        self._worker = None
        self._busy = False  # with an item that is out of the list already

    def is_idle(self):
        """Whether everything has been dealt with."""
        return not (self._busy or self._items)

    def on_message(self, handler, message, receipt):
        """A cloud-to-device message: settled with `receipt` once its handler has ended."""
        if len(self._items) >= _MAX_WAITING:
            reason = "more messages wait than are kept: one will come again"
            self._dispatcher.on_dropped(ValueError(reason))
        else:
            self.post(receipt, self._handle, handler, message, receipt)

    async def _handle(self, handler, message, receipt):
        outcome = "abandon"
        try:
            await self._dispatcher.call(handler, message)
            outcome = message.outcome
        finally:
            self._transport.settle(receipt, outcome)

    def post(self, receipt, function, *arguments):
        """Let the worker run a coroutine function, after what was posted before."""
        self._items.append((receipt, function) + arguments)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        self._arrived.set()

    def on_disconnected(self):
        """What came on a connection that is gone comes again: it cannot be acknowledged here."""
        self._items = [item for item in self._items if not (item and item[0])]

    def close(self):
        """The worker ends after what is there."""
        self._items.append(None)
        self._arrived.set()

    async def _work(self):
        while True:
            await self._arrived
            while self._items:
                item = self._items.pop(0)
                if item is None:
                    return
                self._busy = True
                self._dispatcher.handled += 1
                try:
                    await item[1](*item[2:])
                except Exception as error:
                    self._dispatcher.report(error)
                except BaseException:  # a handler was cancelled: the next item gets a new worker
                    self._worker = None
                    raise
                finally:
                    self._busy = False
