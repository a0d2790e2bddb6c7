"""Future, AutoResetEvent, wait_for() and unpoll(), as MicroPython's asyncio allows them.

A coroutine for each message that waits would cost the heap its frame. Here the object itself is
what the event loop runs: it is its own iterator, as that of asyncio.sleep_ms() is, and
Task.cancel() calls its remove(). CPython's are in compat_cpython.
"""

import gc
from asyncio import core

_STOP = StopIteration()


class AutoResetEvent:
    """`await event` returns once set() was called since the last time, for one task at a time."""

    def __init__(self):
        # An attribute takes heap when it is first set. These are: later there may be none.
        self.waiter = None  # the task
        self._is_set = False

    def set(self):
        self._is_set = True
        self._wake()

    def _wake(self):
        if self.waiter:
            waiter, self.waiter = self.waiter, None
            core._task_queue.push(waiter)

    def _wait(self):
        self.waiter = core.cur_task
        core.cur_task.data = self

    def __iter__(self):  # type: () -> Any  # type: ignore[name-defined]
        return self

    __await__ = __iter__  # for type checkers alone

    def __next__(self):
        if not self._is_set:
            return self._wait()
        self._is_set = False
        _STOP.__traceback__ = None
        raise _STOP

    def remove(self, _task):
        """Task.cancel() calls this."""
        self.waiter = None


class Future(AutoResetEvent):
    """A result that one task awaits: set once, as a value or as an exception.

    Once it is set, `waiter` is False: one attribute less is heap less.
    """

    def __init__(self):
        self.waiter = self.value = self.error = None

    def done(self):
        return self.waiter is False

    def set_result(self, value=None):
        self.value = value
        self._wake()
        self.waiter = False

    def set_exception(self, error):
        self.error = error
        self.set_result()

    def abandoned(self):
        """The task that awaited it was cancelled."""

    def __next__(self):
        if self.waiter is not False:
            return self._wait()
        if self.error is not None:
            raise self.error
        if self.value is not None:
            raise StopIteration(self.value)
        _STOP.__traceback__ = None
        raise _STOP

    def send(self, _value):
        return self.__next__()

    def throw(self, error):
        self.abandoned()
        raise error


async def wait_for(awaitable, seconds):
    """asyncio.wait_for() with one task instead of two.

    Where the heap is full it raises MemoryError; asyncio's may leave its task behind, or end in a
    CancelledError that nobody has asked for.
    """
    waiter = [core.cur_task]  # none, once the deadline has passed
    task = core.create_task(expire(waiter, int(seconds * 1000)))
    try:
        return await awaitable
    except core.CancelledError:
        if waiter:
            raise
        raise core.TimeoutError
    finally:
        task.cancel()


async def expire(waiter, limit):
    try:
        await core.sleep_ms(limit)
    except MemoryError:
        return  # it is cancelled, and there is no heap for a CancelledError
    while waiter[0].data is core.CancelledError:  # it is being cancelled: that comes first
        await core.sleep_ms(0)
    waiter.pop().cancel()


def unpoll(stream):
    """Take what asyncio waits for out of its poll set, after a MemoryError.

    A full heap may leave it there by half, at which the next poll crashes the interpreter: see
    poll_set_add_obj() in MicroPython's modselect.c. The whole of it can be taken out.
    """
    gc.collect()
    queue = core._io_queue
    if queue.map.pop(id(stream), None):
        queue.poller.register(stream, 0)
        queue.poller.unregister(stream)
