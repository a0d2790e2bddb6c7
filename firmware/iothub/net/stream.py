"""A TLS byte stream under asyncio, as MicroPython has it. CPython's is in sockets_cpython."""

import asyncio

from ..errors import ConnectionDroppedError, ConnectionFailedError, reason
from ..future import unpoll

_NOTHING = bytearray(0)


class Stream:
    """Bytes to and from a peer. Reads and writes have no deadline: the caller sets it."""

    copies = True  # a buffer that was written may be used again at once

    def __init__(self, sock, tls):
        self._sock = sock
        self._plain = asyncio.StreamReader(sock)  # the bare socket, by which to wait
        self._writer = asyncio.StreamWriter(tls)
        self._tls = tls
        self._reserve = bytearray(64)  # bytes for unpoll()
        self._more = False  # the last read may have left some of its TLS record behind
        self.stage = "tls"  # of a write: "write" once the handshake is over

    async def write(self, data):
        """Send `data` (bytes-like), as one TLS record where it fits in one."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except MemoryError:
            self._mend(self._tls)
            raise
        except (OSError, ValueError) as error:  # ValueError: the certificate was refused
            if self.stage == "write":
                raise ConnectionDroppedError(reason(error), "write")
            raise ConnectionFailedError(reason(error), "tls")  # TCP stood: see _connect()
        self.stage = "write"

    async def readinto(self, buffer):
        """Read what has arrived, at most len(buffer) bytes; the count, 0 at the peer's end.

        It waits by the bare socket and reads from TLS: the unix port polls a TLS object once a
        millisecond, and all tasks with it; a socket it polls at once. To read nothing is the
        public way to wait.
        """
        try:
            if not self._more:
                await self._plain.readinto(_NOTHING)
            size = self._tls.readinto(buffer)
            while size is None:
                await self._plain.readinto(_NOTHING)
                size = self._tls.readinto(buffer)
        except MemoryError:
            self._mend(self._sock)
            raise
        except (OSError, ValueError) as error:
            raise ConnectionDroppedError(reason(error), "read")
        self._more = size == len(buffer)
        return size

    def _mend(self, stream):
        """After a MemoryError."""
        self._reserve = None
        unpoll(stream)

    def close(self):
        """Close at once; tasks that read or write must have been cancelled before."""
        try:
            self._tls.close()
        except Exception:  # a tuple of them would take heap
            pass  # it was broken already
        self._sock.close()  # TLS does not close it after a handshake that failed
