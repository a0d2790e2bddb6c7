"""TLS's server side in memory, for a proxy that must reach below it."""

import contextlib
import ssl

from host_tests.support.network_faults import HANDSHAKE


class Secure:
    """One connection: plain bytes by read() and send(), once handshake() is over."""

    def __init__(self, reader, writer, context):
        self._reader = reader
        self._writer = writer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._established = False
        self.transport = writer.transport

    async def handshake(self, line):
        """Do the handshake; each flight to the client is a packet that `line` carries."""
        while not self._established:
            done = False
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            finally:
                if flight := self._out.read():
                    await line.carry(flight, HANDSHAKE)
            self._established = done
            if not done:
                await self._take_in()

    async def send(self, data):
        if self._established:
            if data:
                self._tls.write(data)
            data = self._out.read()
        self._writer.write(data)
        await self._writer.drain()

    async def read(self, size):
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                await self._take_in()

    async def _take_in(self):
        data = await self._reader.read(65536)
        if not data:
            raise ConnectionError("the device hung up")
        self._in.write(data)

    async def alert(self, fatal):
        """Send a fatal alert or close_notify. OpenSSL has no call for a fatal alert: it sends one
        when a record does not decrypt.
        """
        with contextlib.suppress(ssl.SSLError):
            if fatal:
                self._in.write(b"\x17\x03\x03\x00\x20" + bytes(32))
                self._tls.read(1)
            else:
                self._tls.unwrap()
        await self.send(b"")

    async def drain(self):
        """Read to the end of the connection."""
        while await self._reader.read(65536):
            pass
