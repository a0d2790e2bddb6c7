"""One AMQP connection: headers, SASL, open and close, heartbeats, and its sessions.

Source: AMQP 1.0, parts 2.2 to 2.4 and 5.
"""

import asyncio
import collections
import logging
import sqlite3

from iothub.amqp.codec import DecodeError
from iothub.amqp.composites import (
    BEGIN,
    CLOSE,
    DISPOSITION,
    END,
    OPEN,
    Composite,
)
from iothub.amqp.frames import (
    AMQP,
    AMQP_HEADER,
    HEARTBEAT,
    MIN_MAX_FRAME_SIZE,
    SASL_HEADER,
    FrameDecoder,
    frame,
)

from ..core.access import host_of
from ..tls import unsent
from . import faults, sasl
from .claims import Claims
from .faults import Fault, SessionFault
from .session import Session

log = logging.getLogger("hub.amqp")

MAX_FRAME = 65536
MAX_OUT = 4 * 1024 * 1024
CHANNEL_MAX = 255
OPEN_TIMEOUT = 20  # seconds for TLS's end, SASL and open
IDLE_TIMEOUT = 120  # announced; twice that without a byte ends the connection
TOKEN_GRACE = 5
DRAIN_TIMEOUT = 60
OWN_NAMES = {"localhost", "127.0.0.1", "::1"}


class Connection:
    """One connection, from its first byte on. What it may do is in `claims`."""

    def __init__(self, core, reader, writer, chain=(), redirect_port=None):
        self.core = core
        self.claims = Claims(core, chain)
        self.redirect_port = redirect_port  # where readers of events are sent
        self.hostname = None  # what the peer calls this hub
        self.answers = {}  # node: the Answers link that its answers go to
        self._reader = reader
        self._writer = writer
        self._chain = chain
        self._decoder = FrameDecoder(MAX_FRAME)
        self._peer = str(writer.get_extra_info("peername"))
        self._patience = OPEN_TIMEOUT
        self._sessions = {}  # channel: Session
        self._ended = set()  # channels whose session is over
        self._out = bytearray()
        self._flushing = None
        self._wrote = False
        self.max_frame = MIN_MAX_FRAME_SIZE  # the largest frame the peer takes
        self._settling = asyncio.Queue(1000)
        self._tasks = []
        self._expiry = None
        self._closed = None  # why

    def __str__(self):
        return self._peer

    # -- life -------------------------------------------------------------------------------

    async def run(self):
        """Serve until the end; never raises what the peer did."""
        self._tasks.append(asyncio.create_task(self._settle()))
        try:
            await self._negotiate()
            while self._closed is None:
                await self._handle(*await self._frame())
        except DecodeError as error:
            self.end(Fault(faults.DECODE_ERROR, str(error)))
        except Fault as fault:
            self.end(fault)
        except asyncio.TimeoutError:
            self.end(Fault(faults.LIMIT, "nothing came within the idle timeout"))
        except (OSError, EOFError) as error:
            self._note(str(error) or "the connection broke")
        finally:
            self._leave()

    def _leave(self):
        for task in self._tasks:
            task.cancel()
        if self._expiry is not None:
            self._expiry.cancel()
        for session in self._sessions.values():
            session.gone()
        self._sessions = {}
        self._flush()
        self._writer.close()

    def _note(self, why):
        if self._closed is None:
            self._closed = why
            log.info("%s: closed: %s", self, why)

    def end(self, fault=None):
        """Close the connection, with an error or without."""
        if self._closed is None:
            self._note(f"{fault.condition}: {fault}" if fault else "it was closed")
            self._out += frame(0, Composite(CLOSE, error=fault and fault.error()))
            self._flush()
            self._writer.close()

    def shut(self, reason):
        """End it because this side wants so."""
        self.end(Fault(faults.FORCED, reason))

    def drop(self):
        """Cut the connection as a broken network does: nothing more is sent."""
        self._note("dropped on request")
        self._writer.transport.abort()

    # -- bytes ------------------------------------------------------------------------------

    def send(self, channel, composite, payload=b""):
        """Send a frame; what is sent in one go leaves together."""
        if self._closed is not None:
            return
        self._out += frame(channel, composite, payload)
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self):
        self._flushing = None
        if self._out:
            self._wrote = True
            self._writer.write(bytes(self._out))
            self._out.clear()
            if unsent(self._writer) > MAX_OUT:
                self.drop()  # a peer that does not read is gone before it costs memory

    async def drained(self):
        """Wait until the peer has taken most of what was sent; TimeoutError."""
        self._flush()
        await asyncio.wait_for(self._writer.drain(), DRAIN_TIMEOUT)

    async def _read(self):
        data = await asyncio.wait_for(self._reader.read(65536), self._patience)
        if not data:
            raise EOFError("the peer closed the connection")
        self._decoder.feed(data)

    async def _header(self):
        while (header := self._decoder.take_header()) is None:
            await self._read()
        return header

    async def _frame(self):
        while (taken := self._decoder.take()) is None:
            await self._read()
        return taken

    async def _beat(self, interval):
        """Let the peer hear something within its idle timeout."""
        while True:
            self._wrote = False
            await asyncio.sleep(interval)
            if not self._wrote:
                self._writer.write(HEARTBEAT)

    # -- opening ----------------------------------------------------------------------------

    async def _negotiate(self):
        """Headers and SASL, up to the AMQP header; a peer may leave SASL out altogether."""
        header = await self._header()
        if header == SASL_HEADER:
            self._out += SASL_HEADER + sasl.offer(self._chain)
            self._flush()
            _, _, init, _ = await self._frame()
            answer, refusal = sasl.judge(init, self.claims)
            self._out += answer
            self._flush()
            if refusal:
                raise EOFError(f"refused: {refusal}")
            header = await self._header()
        self._writer.write(AMQP_HEADER)
        if header != AMQP_HEADER:
            raise EOFError(f"no AMQP 1.0 begins with {header!r}")

    def _open(self, performative):
        if self.hostname is not None:
            raise Fault(faults.FRAMING, "a second open")
        self.hostname = host_of(performative.hostname or "localhost")[0]
        self.max_frame = min(performative.max_frame_size or MAX_FRAME, MAX_FRAME)
        if self.max_frame < MIN_MAX_FRAME_SIZE:
            raise Fault(faults.NOT_ALLOWED, "max-frame-size is at least 512")
        self._patience = 2 * IDLE_TIMEOUT
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
            self._tasks.append(asyncio.create_task(self._beat(interval)))
        self.watch_expiry()
        log.info("%s: opened, for %s", self, self.hostname)

    # -- claims -----------------------------------------------------------------------------

    def put_token(self, token, audience):
        """Take in a token from $cbs. TokenError."""
        claim = self.claims.add(token, OWN_NAMES | {self.hostname, host_of(audience)[0]})
        self.watch_expiry()
        return claim

    def watch_expiry(self):
        """Look again when the first claim ends."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        expiry = self.claims.next_expiry()
        if expiry is not None:
            until = max(0, expiry + TOKEN_GRACE - self.core.clock())
            self._expiry = asyncio.get_running_loop().call_later(until, self._expire)

    def _expire(self):
        """An expired token ends the links it was for, and the connection with the last claim."""
        self.claims.expire(self.core.clock())
        self.watch_expiry()
        fault = Fault(faults.UNAUTHORIZED, "ExpiredToken: its token has expired")
        if self.claims.next_expiry() is None:
            self.end(fault)
            return
        for session in self._sessions.values():
            session.detach_unauthorized(fault)

    # -- frames -----------------------------------------------------------------------------

    async def _handle(self, kind, channel, performative, payload):
        if kind != AMQP:
            raise Fault(faults.FRAMING, "a frame that is not AMQP's")
        if performative is None:
            return  # a heartbeat
        code = performative.descriptor
        if code == OPEN:
            self._open(performative)
        elif self.hostname is None:
            raise Fault(faults.FRAMING, f"{performative} before open")
        elif code == CLOSE:
            self.end()
        elif code == BEGIN:
            self._begin(channel, performative)
        elif channel in self._ended:
            pass  # azure-eventhub detaches links after it has ended their session
        elif channel not in self._sessions:
            raise Fault(faults.NOT_ALLOWED, f"channel {channel} has no session")
        elif code == END:
            self._end(channel)
        else:
            await self._within(channel, performative, payload)

    def _begin(self, channel, begin):
        if channel in self._sessions or channel > CHANNEL_MAX:
            raise Fault(faults.NOT_ALLOWED, f"channel {channel} is in use, or over channel-max")
        self._ended.discard(channel)
        self._sessions[channel] = Session(self, channel, begin)

    def _end(self, channel):
        self._drop_session(channel)

    def _drop_session(self, channel, fault=None):
        self._sessions.pop(channel).gone()
        self._ended.add(channel)
        self.send(channel, Composite(END, error=fault and fault.error()))

    async def _within(self, channel, performative, payload):
        try:
            await self._sessions[channel].handle(performative, payload)
        except SessionFault as fault:
            log.info("%s: session ended: %s: %s", self, fault.condition, fault)
            self._drop_session(channel, fault)

    # -- what waits for the store -----------------------------------------------------------

    async def settle_later(self, session, delivery_id, outcome, then=None):
        """Send a delivery's outcome, and call then(), once all that was stored is durable.

        This waits while too many wait already: the peer is held back.
        """
        await self._settling.put((session, delivery_id, outcome, then))

    async def _settle(self):
        while True:
            batch = [await self._settling.get()]
            while not self._settling.empty():
                batch.append(self._settling.get_nowait())
            try:
                await self.core.durable()
            except sqlite3.Error:
                self.end(Fault("amqp:internal-error", "what it sent could not be stored"))
                continue
            for session, first, last, outcome in _runs(batch):
                disposition = Composite(
                    DISPOSITION, role=True, first=first, last=last, settled=True, state=outcome
                )
                self.send(session.channel, disposition)
            used = collections.Counter(session for session, *_ in batch)
            for session in used:
                session.replenish()
            for *_, then in batch:
                if then is not None:
                    then()


def _runs(batch):
    """(session, first, last, outcome): one after the other, and of one outcome, is one run."""
    run = None
    for session, delivery_id, outcome, _ in batch:
        if delivery_id is None:
            continue  # the peer had settled it itself
        if run and run[0] is session and run[2] + 1 == delivery_id and run[3] is outcome:
            run[2] = delivery_id
        else:
            if run:
                yield run
            run = [session, delivery_id, delivery_id, outcome]
    if run:
        yield run
