"""What iothub.compat offers, as CPython has it."""

import asyncio
import operator
import time

utf8 = str.encode
ticks_diff = operator.sub


def const(value):
    """What MicroPython's compiler takes for a name wherever it stands."""
    return value


def ticks_ms():
    """Milliseconds of a monotonic clock."""
    return int(time.monotonic() * 1000)


def sleep_ms(milliseconds):
    return asyncio.sleep(milliseconds / 1000)


async def wait_for(awaitable, seconds):
    """asyncio.wait_for(), which before Python 3.12 may lose the cancellation of its caller."""
    task, late = asyncio.ensure_future(awaitable), False
    try:
        await asyncio.wait((task,), timeout=seconds)
    finally:
        if not task.done():
            late = True
            task.cancel()
            await asyncio.wait((task,))
    if late and task.cancelled():
        raise asyncio.TimeoutError
    return task.result()


async def as_coroutine(future):
    """What asyncio.create_task() takes."""
    return await future


class AutoResetEvent(asyncio.Event):
    """`await event` returns once set() was called since the last time, for one task at a time."""

    def __await__(self):
        yield from self.wait().__await__()
        self.clear()


class Future:
    """A result that one task awaits: set once, as a value or as an exception."""

    error = value = None
    _done = False
    _event = None  # an asyncio.Event, once a task awaits

    def done(self):
        return self._done

    def set_result(self, value=None):
        self.value, self._done = value, True
        if self._event is not None:
            self._event.set()

    def set_exception(self, error):
        self.error = error
        self.set_result()

    def abandoned(self):
        """The task that awaited it was cancelled."""

    def __await__(self):
        if not self._done:
            self._event = self._event or asyncio.Event()
            try:
                yield from self._event.wait().__await__()
            except asyncio.CancelledError:
                self.abandoned()
                raise
        if self.error is not None:
            raise self.error
        return self.value
