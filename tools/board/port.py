"""The serial port of the virtual board: a pseudo-terminal that programs open and close at will."""

import asyncio
import contextlib
import os
import pty
import select
import tty

_MOST = 256 * 1024  # bytes that wait for a slow reader
_LOOK = 0.02  # seconds between two looks for somebody


class Port:
    """Made open. run() hands what comes to `received`, as much as there is room() for; what is
    written while nobody has the port open is lost, as on a wire.
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
        return not self._hangup.poll(0)

    async def run(self):
        """Until it is cancelled."""
        while True:
            if self.in_use:
                self._flush()
            else:
                self._waiting.clear()
            self._receive()  # what somebody wrote who has gone is here still
            await self._something()

    async def _something(self):
        """Return when there is something to read, or after a moment."""
        loop = asyncio.get_running_loop()
        if not self.in_use:  # a descriptor that was hung up is always ready
            await asyncio.sleep(_LOOK)
            return
        ready = asyncio.Event()
        loop.add_reader(self._ours, ready.set)
        alarm = loop.call_later(_LOOK, ready.set)
        try:
            await ready.wait()
        finally:
            alarm.cancel()
            loop.remove_reader(self._ours)

    def _receive(self):
        room = self._room()
        if room:
            with contextlib.suppress(OSError):  # nothing there, or nobody
                self._received(os.read(self._ours, room))

    def write(self, data):
        if not self.in_use:
            return
        self._waiting += data
        self._flush()
        del self._waiting[:-_MOST]

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
