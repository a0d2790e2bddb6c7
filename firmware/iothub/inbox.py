"""Inbox: what the hub sent, handed to the program's handlers in order, by one worker task.

Loaded with the first handler for cloud-to-device messages or for desired properties.
"""

import asyncio

from .compat import AutoResetEvent, const, has_heap, sleep_ms
from .errors import TransportError

_MAX_WAITING = const(25)


class Inbox:
    """Items wait here for the worker. Those with a receipt die with their connection.

    When much waits, or little heap is free, the transport is told to pause: what the hub sends
    waits in the network, which costs nothing. A message that comes all the same is not kept. The
    hub sends it again once nothing waits here (over MQTT on another connection).

    size: the bytes that wait.
    """

    def __init__(self, dispatcher, transport, options):
        self._dispatcher = dispatcher
        self._transport = transport
        self._limit = options["max_inbound"]  # so many bytes wait before reading is paused
        self._items = []  # (receipt or None, size, coroutine function, argument …), oldest first
        self.size = 0
        self._missed = []  # receipts of messages that were not kept
        self._paused = False
        self._arrived = AutoResetEvent()
        self._worker = None
        self._busy = False  # with an item that is out of the list already

    def is_idle(self):
        """Whether everything has been dealt with."""
        return not (self._busy or self._items)

    def on_message(self, handler, message, receipt):
        """A cloud-to-device message: settled with `receipt` once its handler has ended."""
        size = len(message.data)
        if self._has_room(size, 4):
            self.post(receipt, size, self._handle, handler, message, receipt)
        else:
            self.on_no_room(receipt)

    def _has_room(self, size, times):
        """Whether a message of that size has room, by so many times the bounds."""
        waiting = len(self._items)
        if not waiting:
            return True
        if waiting > _MAX_WAITING * times or self.size + size > self._limit * times:
            return False
        return has_heap(4096 + 2 * size // times)  # beside what waits

    def on_no_room(self, receipt):
        """A cloud-to-device message was not kept: there was no room, or no heap."""
        self._dispatcher.dropped += 1
        if len(self._missed) < 50:
            self._missed.append(receipt)
        if len(self._missed) == 1:  # of a flood, one line is enough
            reason = "no room for more messages: those that are not kept come again"
            self._dispatcher.report(TransportError(reason, "message"))

    async def _handle(self, handler, message, receipt):
        try:
            await self._dispatcher.call(handler, message)
            self._transport.settle(receipt, message.outcome)
        except MemoryError:  # it comes again when there is more heap
            self._missed.append(receipt)
            raise
        except BaseException:
            self._transport.settle(receipt, "abandon")
            raise

    def post(self, *item):
        """Let the worker run a coroutine function, after what was posted before. item: as in
        _items.
        """
        self._items.append(item)
        self.size += item[1]
        self._arrived.set()
        try:
            self.tick()
            self._flow(item[1])
        except MemoryError:
            pass  # the item waits for the next tick()

    def _flow(self, size):
        """Let the hub send, if another message of that size has room, or pause, once."""
        if self._has_room(size, 1) == self._paused:
            self._paused = not self._paused
            self._transport.pause_reading(self._paused)

    def tick(self):
        """Do what an earlier moment had no heap for."""
        if self._items:
            if self._worker is None or self._worker.done():  # a handler was cancelled
                self._worker = asyncio.create_task(self._work())
        elif self._missed and not self._busy:
            self._dispatcher.run(self._transport.redeliver, self._missed)
            self._missed = []

    def on_disconnected(self):
        """What came on a connection that is gone comes again: it cannot be acknowledged here."""
        self._paused = False
        while self._missed:  # in place: there may be no heap for another list
            self._missed.pop()
        at = 0
        while at < len(self._items):
            item = self._items[at]
            if item and item[0]:
                self.size -= self._items.pop(at)[1]
            else:
                at += 1

    def close(self):
        """The worker ends after what is there."""
        self._items.append(None)
        self._arrived.set()

    async def _work(self):
        while True:
            try:
                await self._arrived
                while self._items:
                    item = self._items[0]
                    call = item and item[2](*item[3:])
                    self._items.pop(0)
                    if call is None:
                        return
                    self.size -= item[1]
                    self._busy = True
                    self._dispatcher.handled += 1
                    try:
                        await call
                    except Exception as error:
                        self._dispatcher.report(error)
                    finally:
                        self._busy = False
                        self._flow(0)
            except MemoryError:  # the item waits until there is heap to run it
                await sleep_ms(100)
                self._arrived.set()
