"""AMQP frames over a byte stream: read whole, written together, with heartbeats and bounds.

Source: AMQP 1.0, parts 2.2 to 2.4.
"""

import asyncio

from iothub.amqp.frames import HEARTBEAT, FrameDecoder

from ..tls import unsent

MAX_FRAME = 65536
MAX_UNSENT = 4 * 1024 * 1024
DRAIN_TIMEOUT = 60


class FrameStream:
    """One peer's bytes, in both directions.

    Reading raises asyncio.TimeoutError `timeout` seconds after the stream is made, however many
    bytes have come; after opened(timeout) that many seconds without a byte. overflowed() is called
    when the peer does not read what is sent to it.
    """

    def __init__(self, reader, writer, timeout, overflowed):
        self.timeout = timeout
        self._deadline = asyncio.get_running_loop().time() + timeout  # None: the peer has opened
        self._reader = reader
        self._writer = writer
        self._overflowed = overflowed
        self._decoder = FrameDecoder(MAX_FRAME)
        self._out = bytearray()
        self._flushing = None
        self._wrote = False

    def opened(self, timeout):
        """The peer has opened its connection: from now on each byte counts."""
        self.timeout, self._deadline = timeout, None

    # -- reading: EOFError at the end, DecodeError for what is not AMQP ------------------------

    async def header(self):
        """The eight bytes of the next protocol header."""
        while (header := self._decoder.take_header()) is None:
            await self._read()
        return header

    async def frame(self):
        """(type, channel, performative or None for a heartbeat, payload) of the next frame."""
        while (taken := self._decoder.take()) is None:
            await self._read()
        return taken

    async def _read(self):
        left = self.timeout
        if self._deadline is not None:
            left = self._deadline - asyncio.get_running_loop().time()
        if left <= 0:  # wait_for() would still take what is there already
            raise asyncio.TimeoutError
        data = await asyncio.wait_for(self._reader.read(65536), left)
        if not data:
            raise EOFError("the peer closed the connection")
        self._decoder.feed(data)

    # -- writing ----------------------------------------------------------------------------

    def write(self, data):
        """Send bytes; what is written in one turn of the event loop leaves together."""
        self._out += data
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_soon(self.flush)

    def flush(self):
        """Send at once what is written."""
        self._flushing = None
        if self._out:
            self._wrote = True
            self._writer.write(bytes(self._out))
            self._out.clear()
            if unsent(self._writer) > MAX_UNSENT:
                self._overflowed()

    async def drain(self):
        """Wait until the peer has taken most of what was sent. asyncio.TimeoutError, OSError."""
        self.flush()
        await asyncio.wait_for(self._writer.drain(), DRAIN_TIMEOUT)

    async def send_heartbeats(self, interval):
        """Send a heartbeat whenever nothing else was sent for `interval` seconds."""
        while True:
            self._wrote = False
            await asyncio.sleep(interval)
            if not self._wrote:
                self._writer.write(HEARTBEAT)

    def close(self):
        """Send what is written, and close the stream."""
        self.flush()
        self._writer.close()

    def abort(self):
        """Cut the stream: nothing more is sent."""
        self._writer.transport.abort()
