"""The list of what a scripted server has heard, which a test can await."""

import asyncio

PATIENCE = 30


class Heard(list):
    """A list of [what, value, …] that can be awaited."""

    def __init__(self):
        super().__init__()
        self._news = asyncio.Event()

    def note(self, *words):
        self.append(list(words))
        self._news.set()

    async def wait_for(self, *wanted, count=1):
        """Wait until [what, value, …] has been heard `count` times."""
        while self.count(list(wanted)) < count:
            await self._more()

    async def first(self, *start):
        """Wait for a [what, value, …] that begins with `start`: the first one."""
        while True:
            for words in self:
                if words[: len(start)] == list(start):
                    return words
            await self._more()

    async def _more(self):
        self._news.clear()
        await asyncio.wait_for(self._news.wait(), PATIENCE)
