"""One MQTT connection: CONNECT, then packets to a handler; keep-alive; and how it ends.

The handler is an MqttDeviceSession, or a Registration for a device that registers with DPS. It
has name, start(), handle(packet) and closed(). IoT Hub is not a broker: a packet that it does not
support closes the connection, and the log says why.
"""

import asyncio
import logging

from ..core.errors import HubError
from ..listener import peer_name
from ..tls import unsent
from . import login, packets
from .device_session import MqttDeviceSession
from .packets import Connect, Malformed
from .registration import Registration

log = logging.getLogger("hub.mqtt")

MAX_PACKET = 300 * 1024  # telemetry of 256 KB, and its topic
MAX_UNSENT = 2 * 1024 * 1024
MAX_KEEP_ALIVE = 1767  # seconds
CONNECT_TIMEOUT = 10  # seconds until CONNECT is there, however many bytes come
REGISTRATION_TIMEOUT = 120
TOKEN_GRACE = 5


class Connection:
    """One TCP connection, from its first byte to its end."""

    def __init__(self, core, reader, writer, chain=()):
        self._core = core
        self._reader = reader
        self._writer = writer
        self._chain = chain  # the certificates that the client has shown, DER
        self._peer = peer_name(writer)
        self._handler = None  # None until CONNECT is accepted
        self._handle = self._connect  # takes the next packet
        self._timeout = CONNECT_TIMEOUT  # after CONNECT: seconds without a byte
        self._timeout_timer = None
        self._expiry_timer = None
        self._last_received = asyncio.get_running_loop().time()
        self._close_reason = None

    def __str__(self):
        return self._handler.name if self._handler else self._peer

    @property
    def closed(self):
        return self._close_reason is not None

    async def run(self):
        """Serve the connection to its end. No error of the peer is raised."""
        try:
            await self._read_packets()
        except HubError as error:
            self.close(str(error))
        except (OSError, EOFError) as error:
            self.close(str(error) or "the connection broke")
        finally:
            for timer in (self._expiry_timer, self._timeout_timer):
                if timer is not None:
                    timer.cancel()
            if self._handler is not None:
                self._handler.closed()
            self._writer.close()

    async def _read_packets(self):
        self._check_timeout()
        decoder = packets.Decoder(MAX_PACKET)
        while not self.closed:
            data = await self._reader.read(65536)  # bounded by _check_timeout
            if self._handler is not None:
                self._last_received = asyncio.get_running_loop().time()
            if not data:
                self.close("the device closed the connection")
            for packet in decoder.feed(data):
                if self.closed:
                    break
                await self._handle(packet)

    # -- sending and ending -----------------------------------------------------------------

    def send(self, data):
        """Write bytes. A device that does not read is cut off before it costs memory."""
        if not self.closed:
            self._writer.write(data)
            if unsent(self._writer) > MAX_UNSENT:
                self.abort("the device does not read what is sent to it")

    def close(self, reason):
        """End the connection in order; the reason goes to the log."""
        if not self.closed:
            self._close(reason)
            self._writer.close()

    def abort(self, reason):
        """Cut the connection as a broken network does: nothing more is sent."""
        self._close(reason)
        self._writer.transport.abort()

    def _close(self, reason):
        if not self.closed:
            self._close_reason = reason
            log.info("%s: closed: %s", self, reason)

    # -- timeouts ---------------------------------------------------------------------------

    def _set_timeout(self, seconds):
        self._timeout = seconds
        self._last_received = asyncio.get_running_loop().time()
        self._timeout_timer.cancel()
        self._check_timeout()

    def _check_timeout(self):
        """Cut the connection when nothing has come for too long.

        One timer serves the whole connection: it looks at the time of the last byte or, before
        CONNECT, of the connection: a CONNECT that dribbles in must not hold a connection for ever.
        """
        loop = asyncio.get_running_loop()
        left = self._last_received + self._timeout - loop.time()
        if left > 0:
            self._timeout_timer = loop.call_later(left, self._check_timeout)
        elif self._handler is None:
            self.abort(f"CONNECT has not come, whole, within {self._timeout:g} s")
        else:
            self.abort(
                "404104 DeviceConnectionClosedRemotely: the device has sent nothing for "
                f"{self._timeout:g} s (1.5 times its keep-alive)"
            )

    def _close_at(self, expiry):
        """Close the connection when the token expires (seconds since 1970)."""
        delay = max(0, expiry + TOKEN_GRACE - self._core.clock())
        reason = "the SAS token has expired: the device must connect with a new one before"
        loop = asyncio.get_running_loop()
        self._expiry_timer = loop.call_later(delay, self.close, reason)

    # -- CONNECT ----------------------------------------------------------------------------

    async def _connect(self, packet):
        if not isinstance(packet, Connect):
            raise Malformed("the first packet is not CONNECT")
        try:
            if Registration.is_for(packet):
                self._begin(Registration(self._core, self, packet, self._chain))
                self._set_timeout(REGISTRATION_TIMEOUT)
            else:
                self._begin_session(packet)
        except login.Refused as refusal:
            log.info(
                "%s: CONNECT refused with return code %d: %s",
                *(packet.client_id[:140] or self, refusal.return_code, refusal),
            )
            self._writer.write(packets.connack(refusal.return_code))
            self._close_reason = str(refusal)

    def _begin_session(self, packet):
        identity, expiry = login.authenticate(self._core, packet, self._chain)
        keep_alive = packet.keep_alive or MAX_KEEP_ALIVE
        self._set_timeout(min(1.5 * keep_alive, MAX_KEEP_ALIVE))
        if expiry is not None:
            self._close_at(expiry)
        session = MqttDeviceSession(self._core, self, identity, packet, bool(self._chain))
        self._begin(session)
        log.info("%s: connected", self)

    def _begin(self, handler):
        self._handler = handler
        self._handle = handler.handle
        handler.start()
