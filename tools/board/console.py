"""The lines of a board's console, for programs that watch it."""

import asyncio
import collections

PROMPT = b">>> "
_LINES = 10000  # kept until they are asked for
_REST = 4096  # bytes of a line without an end


class Console:
    """Collects the bytes that a board prints; gives them as lines."""

    def __init__(self):
        self._lines = collections.deque(maxlen=_LINES)
        self._rest = self._last = b""
        self._more = asyncio.Event()

    @property
    def in_raw_repl(self):
        """Whether the raw REPL printed last: after an empty command, or after one that ran."""
        return not self._rest and self._last.endswith(b">OK") or self._rest.endswith(b"\x04")

    def feed(self, data):
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            self._last = line[-64:]
            self._lines.append(line.decode(errors="replace"))
        self._rest = self._rest[-_REST:]
        if self._rest == PROMPT and (lines or len(data) >= len(PROMPT)):
            self._lines.append(PROMPT.decode())
        self._more.set()

    async def lines(self):
        """Yield the lines that were not yielded yet, with the prompt, without end."""
        while True:
            while self._lines:
                yield self._lines.popleft()
            self._more.clear()
            await self._more.wait()
