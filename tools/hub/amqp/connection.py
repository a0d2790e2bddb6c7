"""One AMQP connection: protocol headers, SASL, open and close, tokens, and its sessions.

Source: AMQP 1.0, parts 2.2 to 2.4 and 5; docs/protocol/amqp.md, "Connection".
"""

import asyncio
import logging

from iothub.amqp.codec import DecodeError
from iothub.amqp.composites import BEGIN, CLOSE, END, OPEN, Composite
from iothub.amqp.frames import AMQP, AMQP_HEADER, MIN_MAX_FRAME_SIZE, SASL_HEADER, frame

from ..core.access import split_resource
from ..listener import peer_name
from . import faults, sasl
from .claims import Claims
from .faults import Fault, SessionFault
from .session import Session
from .settlement import Settlement
from .stream import MAX_FRAME, FrameStream

log = logging.getLogger("hub.amqp")

CHANNEL_MAX = 255
OPEN_TIMEOUT = 20  # seconds until open is there, however many bytes come
IDLE_TIMEOUT = 120  # announced in open; a peer that is silent for twice as long is closed
TOKEN_GRACE = 5
OWN_NAMES = {"localhost", "127.0.0.1", "::1"}


class Connection:
    """One connection, from its first byte to its end."""

    def __init__(self, core, reader, writer, chain=(), redirect_port=None):
        self.claims = Claims(core, chain)  # what the peer may do
        self.redirect_port = redirect_port  # where readers of events are sent
        self.hostname = None  # the name that the peer calls this hub by; None before open
        self.answers = {}  # {path of a request node: the Answers node of this connection}
        self.max_frame = MIN_MAX_FRAME_SIZE  # the largest frame that the peer takes
        self._core = core
        self._chain = chain
        self._peer = peer_name(writer)
        self._stream = FrameStream(reader, writer, OPEN_TIMEOUT, self._overflowed)
        self._settlement = Settlement(core.durable, self._storage_failed)
        self._sessions = {}  # channel: Session
        self._ended = set()  # channels whose session has ended
        self._tasks = []
        self._expiry_timer = None
        self._close_reason = None

    def __str__(self):
        return self._peer

    async def run(self):
        """Serve the connection to its end. No error of the peer is raised."""
        self._tasks.append(asyncio.create_task(self._settlement.run()))
        try:
            await self._negotiate()
            while self._close_reason is None:
                await self._handle(*await self._stream.frame())
        except DecodeError as error:
            self._close(Fault(faults.DECODE_ERROR, str(error)))
        except Fault as fault:
            self._close(fault)
        except asyncio.TimeoutError:
            what = "open has not come within" if self.hostname is None else "nothing has come for"
            reason = f"{what} {self._stream.timeout:g} s"
            self._close(Fault(faults.LIMIT, reason))
        except (OSError, EOFError) as error:
            self._note_closed(str(error) or "the connection broke")
        finally:
            self._release()

    def _release(self):
        for task in self._tasks:
            task.cancel()
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        for session in self._sessions.values():
            session.closed()
        self._sessions = {}
        self._stream.close()

    # -- sending and ending -----------------------------------------------------------------

    def send(self, channel, composite, payload=b""):
        """Send a frame."""
        if self._close_reason is None:
            self._stream.write(frame(channel, composite, payload))

    async def drain(self):
        """Wait until the peer has taken most of what was sent. asyncio.TimeoutError, OSError."""
        await self._stream.drain()

    def close(self, reason):
        """End the connection in order, because the hub wants to."""
        self._close(Fault(faults.FORCED, reason))

    def abort(self, reason):
        """Cut the connection as a broken network does: nothing more is sent."""
        self._note_closed(reason)
        self._stream.abort()

    def _close(self, fault=None):
        """Send close, with the error if there is one."""
        if self._close_reason is None:
            self._note_closed(f"{fault.condition}: {fault}" if fault else "the peer closed it")
            self._stream.write(frame(0, Composite(CLOSE, error=fault and fault.error())))
            self._stream.close()

    def _note_closed(self, reason):
        if self._close_reason is None:
            self._close_reason = reason
            log.info("%s: closed: %s", self, reason)

    def _overflowed(self):
        self.abort("the peer does not read what is sent to it")

    def _storage_failed(self, error):
        reason = f"what the peer sent could not be stored: {error}"
        self._close(Fault("amqp:internal-error", reason))

    # -- opening ----------------------------------------------------------------------------

    async def _negotiate(self):
        """Protocol headers and SASL, up to the AMQP header; a peer may leave SASL out."""
        header = await self._stream.header()
        if header == SASL_HEADER:
            self._send_now(SASL_HEADER + sasl.offer(self._chain))
            _, _, init, _ = await self._stream.frame()
            answer, refusal = sasl.judge(init, self.claims)
            self._send_now(answer)
            if refusal:
                raise EOFError(f"SASL refused: {refusal}")
            header = await self._stream.header()
        self._send_now(AMQP_HEADER)
        if header != AMQP_HEADER:
            raise EOFError(f"the peer does not speak AMQP 1.0: its first bytes are {header!r}")

    def _send_now(self, data):
        self._stream.write(data)
        self._stream.flush()

    def _open(self, performative):
        if self.hostname is not None:
            raise Fault(faults.FRAMING, "a second open")
        self.hostname = split_resource(performative.hostname or "localhost")[0]
        self.max_frame = min(performative.max_frame_size or MAX_FRAME, MAX_FRAME)
        if self.max_frame < MIN_MAX_FRAME_SIZE:
            raise Fault(faults.NOT_ALLOWED, "max-frame-size must be at least 512")
        self._stream.opened(2 * IDLE_TIMEOUT)
        self.send(
            0,
            Composite(
                OPEN,
                container_id="local-iot-hub",
                hostname=performative.hostname,
                max_frame_size=MAX_FRAME,
                channel_max=CHANNEL_MAX,
                idle_time_out=int(IDLE_TIMEOUT * 1000),
            ),
        )
        if performative.idle_time_out:
            interval = max(performative.idle_time_out / 2000, 0.1)
            self._tasks.append(asyncio.create_task(self._stream.send_heartbeats(interval)))
        self.watch_expiry()
        log.info("%s: opened, for the host %s", self, self.hostname)

    # -- tokens -----------------------------------------------------------------------------

    def put_token(self, token, audience):
        """Take in a token from $cbs. Unauthorized."""
        hosts = OWN_NAMES | {self.hostname, split_resource(audience)[0]}
        claim = self.claims.add(token, hosts)
        self.watch_expiry()
        return claim

    def watch_expiry(self):
        """Set the timer for the time when the first token expires."""
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
            self._expiry_timer = None
        expiry = self.claims.next_expiry()
        if expiry is not None:
            delay = max(0, expiry + TOKEN_GRACE - self._core.clock())
            self._expiry_timer = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self):
        """Detach the links of expired tokens; without any token left, close the connection."""
        self.claims.remove_expired(self._core.clock())
        self.watch_expiry()
        reason = "ExpiredToken: the SAS token has expired; put a new one before that"
        fault = Fault(faults.UNAUTHORIZED, reason)
        if self.claims.next_expiry() is None:
            self._close(fault)
            return
        for session in self._sessions.values():
            session.close_unauthorized(fault)

    # -- frames -----------------------------------------------------------------------------

    async def _handle(self, kind, channel, performative, payload):
        if kind != AMQP:
            raise Fault(faults.FRAMING, "a SASL frame after SASL has ended")
        if performative is None:
            return  # a heartbeat
        code = performative.descriptor
        if code == OPEN:
            self._open(performative)
        elif self.hostname is None:
            raise Fault(faults.FRAMING, f"{performative} before open")
        elif code == CLOSE:
            self._close()
        elif code == BEGIN:
            self._begin_session(channel, performative)
        elif channel in self._ended:
            pass  # azure-eventhub detaches links after it has ended their session
        elif channel not in self._sessions:
            raise Fault(faults.NOT_ALLOWED, f"channel {channel} has no session: begin one")
        elif code == END:
            self._end_session(channel)
        else:
            await self._handle_in_session(channel, performative, payload)

    def _begin_session(self, channel, begin):
        if channel in self._sessions or channel > CHANNEL_MAX:
            raise Fault(faults.NOT_ALLOWED, f"channel {channel} is in use, or over channel-max")
        self._ended.discard(channel)
        session = Session(self._core, self, self._settlement, channel, begin)
        self._sessions[channel] = session

    async def _handle_in_session(self, channel, performative, payload):
        try:
            await self._sessions[channel].handle(performative, payload)
        except SessionFault as fault:
            log.info("%s: session ended: %s: %s", self, fault.condition, fault)
            self._end_session(channel, fault)

    def _end_session(self, channel, fault=None):
        self._sessions.pop(channel).closed()
        self._ended.add(channel)
        self.send(channel, Composite(END, error=fault and fault.error()))
