"""once, as CPython has it: with futures."""

import asyncio


class _Awaited:
    task = None  # a Future, for who waits

    def given_up(self):
        """Nobody waits any more."""

    def _wait(self):
        self.task = asyncio.get_running_loop().create_future()
        try:
            yield from self.task
        except asyncio.CancelledError:
            self.given_up()
            raise
        finally:
            self.task = None

    def _wake(self):
        if self.task is not None and not self.task.done():
            self.task.set_result(None)


class Once(_Awaited):
    """settle() lets who awaits it go on, with an exception if there is one."""

    done = False
    error = None

    def settle(self, error=None):
        self.done, self.error = True, error
        self._wake()

    def __await__(self):
        while not self.done:
            yield from self._wait()
        if self.error is not None:
            raise self.error


class Bell(_Awaited):
    """`await bell` returns once it has rung since the last time."""

    rung = False

    def ring(self):
        self.rung = True
        self._wake()

    def __await__(self):
        while not self.rung:
            yield from self._wait()
        self.rung = False


async def coroutine(once):
    """What asyncio.create_task() takes."""
    await once


def _settled():
    once = Once()
    once.settle()
    return once


DONE = _settled()
