"""To be waited for without a coroutine: every one of those costs a waiting message its frame.

Once happens once, and one task awaits it; a Bell rings any number of times. On MicroPython such an
object is its own iterator, as what asyncio.sleep_ms() gives is; Task.cancel() calls remove().
CPython's are in once_host.
"""

import sys

if sys.implementation.name != "micropython":
    from .future_cpython import DONE, Bell, Once, coroutine  # noqa: F401
else:
    from asyncio import core

    _STOP = StopIteration()

    class _Awaited:
        task = None  # who waits

        def __iter__(self):
            return self

        def remove(self, _task):
            self.task = None

        def _wait(self):
            self.task = core.cur_task
            core.cur_task.data = self

        def _wake(self):
            if self.task:
                task, self.task = self.task, None
                core._task_queue.push(task)

    class Once(_Awaited):
        """settle() lets who awaits it go on, with an exception if there is one.

        Once that is done `task` is False: an attribute less is heap less.
        """

        error = None

        def settle(self, error=None):
            if error is not None:
                self.error = error
            self._wake()
            self.task = False

        def send(self, _value):
            return self.__next__()

        def throw(self, error):
            self.given_up()
            raise error

        def given_up(self):
            """Nobody waits any more."""

        def __next__(self):
            if self.task is not False:
                return self._wait()
            if self.error is not None:
                raise self.error
            _STOP.__traceback__ = None
            raise _STOP

    class Bell(_Awaited):
        """`await bell` returns once it has rung since the last time."""

        rung = False

        def ring(self):
            self.rung = True
            self._wake()

        def __next__(self):
            if not self.rung:
                return self._wait()
            self.rung = False
            _STOP.__traceback__ = None
            raise _STOP

    def coroutine(once):
        """What asyncio.create_task() takes."""
        return once

    DONE = Once()
    DONE.task = False
