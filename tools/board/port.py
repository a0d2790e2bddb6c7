"""The serial port of the virtual board: a pseudo-terminal that programs open and close."""

import asyncio
import contextlib
import os
import pty
import select
import tty

_MOST_WAITING = 256 * 1024  # bytes that wait for a slow reader
_POLL = 0.02  # seconds between two looks whether a program has opened the port


class Port:
    """A pseudo-terminal with the path `name`. As on a wire, bytes are lost that are written while
    no program has it open.

    room(): how many bytes the board can take. received(data): takes bytes from the program.
    """

    def __init__(self, room, received):
        self._room = room
        self._received = received
        self._ours, theirs = pty.openpty()
        tty.setraw(theirs)
        self.name = os.ttyname(theirs)
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self._waiting = bytearray()
        self._hangup = select.poll()
        self._hangup.register(self._ours, 0)

    @property
    def in_use(self):
        """Whether a program has the port open."""
        return not self._hangup.poll(0)

    async def run(self):
        """Read and write until cancelled."""
        while True:
            if self.in_use:
                self._flush()
            else:
                self._waiting.clear()
            self._receive()  # also after the program has closed the port: its bytes are still here
            await self._wait_for_input()

    async def _wait_for_input(self):
        """Return when there is something to read, or after _POLL seconds."""
        loop = asyncio.get_running_loop()
        if not self.in_use:  # a descriptor without a program is always ready
            await asyncio.sleep(_POLL)
            return
        ready = asyncio.Event()
        loop.add_reader(self._ours, ready.set)
        alarm = loop.call_later(_POLL, ready.set)
        try:
            await ready.wait()
        finally:
            alarm.cancel()
            loop.remove_reader(self._ours)

    def _receive(self):
        room = self._room()
        if room:
            with contextlib.suppress(OSError):  # there is nothing to read, or no program
                self._received(os.read(self._ours, room))

    def write(self, data):
        if not self.in_use:
            return
        self._waiting += data
        self._flush()
        del self._waiting[:-_MOST_WAITING]

    def _flush(self):
        while self._waiting:
            try:
                del self._waiting[: os.write(self._ours, self._waiting)]
            except BlockingIOError:
                return
            except OSError:
                self._waiting.clear()

    def close(self):
        os.close(self._ours)
