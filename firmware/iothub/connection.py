"""The bytes of one session over successive TLS streams, with a deadline on every wait.

Three tasks: a reader and a writer for each connection, and a keeper from the first connection to
the end. The keeper is the deadline of the other two, so that the hot path needs no timer of its
own: it notices what is overdue, takes the connection down and tells the owner.

The session is sans I/O: feed(bytes), pump() -> whether there is something to take(). A subclass
says what is due (_look), and what a failure means to a connection that is not up yet (_fail).
"""

import asyncio
import sys

from . import errors
from .compat import const, ticks_diff, ticks_ms, unix_time
from .deadline import within
from .errors import ConnectionDroppedError
from .future import Bell
from .keepalive import Watch
from .retry import random
from .sas import token_fields

if sys.implementation.name == "micropython":
    from .net.stream import client_context, open_stream
else:
    from .net.stream_cpython import client_context, open_stream


_MAX_LIFE = const(400000)  # seconds: what the board's ticks can tell apart


class Carrier:
    """See the module. The owner is told, as methods: problem(error), lost(error), expiring().

    signer(expiry) gives (token, audience, user name for SASL PLAIN); None: a certificate, or
    nothing, proves who this is.
    """

    def __init__(self, owner, options, signer):
        self.owner = owner
        self._signer = signer
        self._options = options
        self.timeout = options["timeout"]
        self.watch = Watch(self.timeout, options["keep_alive"])
        self.session = None
        self.answers = {}  # who waits for an answer on this connection: key: Answer
        self.up = False  # from the hub's welcome to the end of the connection
        self._trust()  # early: it is one large object, and the heap will be in pieces
        self._stream = None
        self._tasks = []
        self._keeper = None
        self.token = None  # the one that the hub was shown last
        self._renewal = None  # (since when it is used, for how many ms, seconds it lives)
        self._renewing = None  # the task that brings another
        self.moving = False  # another connection is about to take this one's place
        self._broken = asyncio.Event()
        self._error = None
        self._work = Bell()  # there may be something to write
        self.wake = self._work.ring  # lets the writer send what the session has ready

    @property
    def open(self):
        """Whether what is sent now has a connection to leave by."""
        return self.moving or self._stream is not None and self._error is None

    async def dial(self, host, port, usual, protocol):
        """A stream, to the usual port if none is named; with websockets, of that protocol.

        ConnectionFailedError, OperationTimeout.
        """
        websockets = self._options["websockets"]
        port = port or (443 if websockets else usual)
        if errors.tell:
            errors.tell(20, "tcp", "%s:%d" % (host, port))
        if self._context is None:
            self._trust()
        proxy = self._options["proxy_options"]
        stream = await open_stream(host, port, self._context, self.timeout, proxy)
        if websockets:
            from .net.websocket import upgrade

            try:
                upgraded = upgrade(stream, host, protocol)
                stream = await within(self.timeout, "websocket", upgraded)
            except BaseException:
                await stream.close()
                raise
        return stream

    def _trust(self):
        options = self._options
        self._context = client_context(options["server_verification_cert"], options["x509"])

    def trust_anew(self):
        """Read the roots again before the next connection."""
        self._context = None

    def _start_reading(self):
        self.watch.begin(ticks_ms())
        self._tasks.append(asyncio.create_task(self._read(self._stream)))

    def _start_writing(self):
        self._tasks.append(asyncio.create_task(self._write(self._stream)))
        self.wake()

    def _welcome(self):
        """The connection is up: from now on the keeper takes it down."""
        self.up = True
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    def _dismiss(self):
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None

    async def _hang_up(self, error):
        """End the connection: no task of it runs on, and nobody waits for its answers."""
        self.up = False
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None
        self._cancel_tasks()
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.close()
        self._fail_answers(error)

    def _cancel_tasks(self):
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    def _fail_answers(self, error):
        answers, self.answers = self.answers, {}
        for answer in answers.values():
            answer.fail(error)

    def break_off(self, error):
        """The connection is useless: the keeper takes it down, or connect() where it is young."""
        if self._error is not None:
            return
        self._error = error
        self._fail(error)  # type: ignore[attr-defined]
        self._fail_answers(error)
        if self.up:
            self._broken.set()

    # -- the token --------------------------------------------------------------------------

    def sign(self):
        """(token, audience, user name for SASL PLAIN) as of now; None where a certificate, or
        nothing, proves who this is.
        """
        if self._signer is None:
            return None
        return self._signer(unix_time() + self._options["sastoken_ttl"])

    def shown(self, signed):
        """The hub has accepted what sign() gave: renew it once 80 to 90 % of its life are over."""
        if signed is not None and "&se=" in signed[0]:  # a mere password has no end
            self.token = signed[0]
            life = int(token_fields(self.token)["se"]) - unix_time()
            life = max(0, min(life, _MAX_LIFE))
            self._renewal = ticks_ms(), life * (800 + 100 * random()), life

    def _renew_if_due(self, now):
        if self._renewal is not None and ticks_diff(now, self._renewal[0]) > self._renewal[1]:
            from .renewal import renew

            life, self._renewal = self._renewal[2], None
            self._renewing = asyncio.create_task(renew(self, life))

    def calm(self):
        """Whether a renewal would disturb nobody just now."""
        return True

    # -- the three tasks --------------------------------------------------------------------

    async def _read(self, stream):
        """Feed the session with what comes; how long that may take is the keeper's business."""
        buffer = bytearray(512)
        view = memoryview(buffer)
        try:
            while True:
                size = await stream.readinto(buffer)
                if not size:
                    raise ConnectionDroppedError("the hub closed the connection", "read")
                self.watch.alive(ticks_ms())
                if errors.tell:
                    errors.tell(10, "read", size)
                self.session.feed(view[:size])
                if self.session.pump():
                    self.wake()
        except Exception as error:  # whatever it was: nobody reads on, so the connection ends
            self.break_off(error)

    async def _write(self, stream):
        """Send what the session has ready; the keeper watches over how long that takes."""
        try:
            while True:
                await self._work
                while self.session.pump():
                    self.watch.writing = ticks_ms()
                    data = self.session.take()
                    if errors.tell:
                        errors.tell(10, "write", len(data))
                    await stream.write(data)
                    if stream.copies:
                        self.written(data)
                    self.watch.writing = None
                    self.watch.sent = ticks_ms()
        except Exception as error:
            self.break_off(error)

    def written(self, data):
        """What the session gave has left, and is its own again."""

    async def _keep(self):
        tick = min(1, self.timeout / 4, self._options["keep_alive"] / 8)
        while True:
            self.beat = ticks_ms()  # for iothub.health
            try:
                await asyncio.wait_for(self._broken.wait(), tick)
            except asyncio.TimeoutError:
                pass
            try:
                if self._broken.is_set():
                    await self._end()
                self._look(ticks_ms())  # type: ignore[attr-defined]
            except MemoryError:  # to tell it would need some: the next turn may find more
                await asyncio.sleep(tick)
            except Exception as error:  # without a keeper there would be no deadlines
                self.owner.problem(error)

    async def _end(self):
        if self._error is not None and not self.moving:
            await self._hang_up(self._error)
            self.owner.lost(self._error)
        self._broken.clear()
