"""The one way to wait: with a deadline, whose error names the stage."""

import asyncio

from .errors import OperationTimeout


async def within(seconds, stage, awaitable):
    """The result of `awaitable`; OperationTimeout at `stage` if it takes longer than `seconds`."""
    try:
        return await asyncio.wait_for(awaitable, seconds)
    except asyncio.TimeoutError:
        raise OperationTimeout("no answer within %g s" % seconds, stage)


class Answer:
    """A result that somebody waits for: given once, as a value or as an exception."""

    def __init__(self, about=None):
        self.about = about  # whatever the giver wants to find again
        self._event = asyncio.Event()
        self._value = None
        self._error = None

    @property
    def given(self):
        return self._event.is_set()

    def give(self, value=None):
        self._value = value
        self._event.set()

    def fail(self, error):
        self._error = error
        self._event.set()

    async def wait(self):
        """The value, or the exception raised. The giver, or within(), holds the deadline."""
        await self._event.wait()
        if self._error is not None:
            raise self._error
        return self._value
