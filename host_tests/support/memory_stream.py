"""A byte stream in memory, for both interpreters: the test is the peer."""

from iothub.compat import AutoResetEvent, Future
from iothub.errors import ConnectionDroppedError


class MemoryStream:
    """written: what was written so far, a bytearray; writes: the same, write by write."""

    stage = "write"

    def __init__(self, copies=False):
        self.copies = copies
        self.written = bytearray()
        self.writes = []
        self.closed = False
        self._incoming = []  # bytes, or an exception
        self._arrived = AutoResetEvent()
        self._written = AutoResetEvent()
        self._gate = None

    # -- for the test -----------------------------------------------------------------------

    def send(self, data):
        """The peer sends bytes."""
        self._incoming.append(bytes(data))
        self._arrived.set()

    def end(self):
        """The peer closes."""
        self.send(b"")

    def fail(self, error):
        """The next read raises this."""
        self._incoming.append(error)
        self._arrived.set()

    def block(self):
        """The network takes no more bytes, until unblock()."""
        self._gate = Future()

    def unblock(self):
        gate, self._gate = self._gate, None
        gate.set_result()

    async def has_written(self, data):
        """Wait until exactly these bytes have been written since the last call."""
        while len(self.written) < len(data):
            await self._written
        assert bytes(self.written[: len(data)]) == data, bytes(self.written)
        self.written[: len(data)] = b""

    # -- a stream ---------------------------------------------------------------------------

    async def write(self, data):
        if self.closed:
            raise ConnectionDroppedError("it is closed", "write")
        if self._gate is not None:
            await self._gate
        self.written.extend(data)
        self.writes.append(bytes(data))
        self._written.set()

    async def readinto(self, buffer):
        while not self._incoming:
            await self._arrived
        first = self._incoming.pop(0)
        if isinstance(first, Exception):
            raise first
        size = min(len(buffer), len(first))
        memoryview(buffer)[:size] = first[:size]
        if first[size:]:
            self._incoming.insert(0, first[size:])
        return size

    def close(self):
        self.closed = True
