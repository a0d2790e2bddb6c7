"""The bytes of one session over successive TLS streams, with a deadline on every wait.

Three tasks: a reader and a writer for each connection, and a keeper from the first connection to
the end. The keeper is the deadline of the other two, so that the hot path needs no timer of its
own: it notices what is overdue, takes the connection down and tells the owner.

The session is sans I/O: feed(bytes), pump() -> whether there is something to take(). A subclass
says what is due (_look), and what a failure means to a connection that is not up yet (_fail).
"""

import asyncio
import sys

from .compat import ticks_ms
from .deadline import within
from .errors import ConnectionDroppedError
from .watch import Watch

if sys.implementation.name == "micropython":
    from .stream import client_context, open_stream
else:
    from .stream_host import client_context, open_stream


class Carrier:
    """See the module. The owner is told, as methods: problem(error), lost(error)."""

    def __init__(self, owner, options):
        self._owner = owner
        self._options = options
        self._timeout = options["timeout"]
        self._watch = Watch(self._timeout, options["keep_alive"])
        self.session = None
        self.answers = {}  # who waits for an answer on this connection: key: Answer
        self.up = False  # from the hub's welcome to the end of the connection
        self._context = None
        self._stream = None
        self._tasks = []
        self._keeper = None
        self._broken = asyncio.Event()
        self._error = None
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()

    @property
    def open(self):
        """Whether what is sent now has a connection to leave by."""
        return self._stream is not None and self._error is None

    def wake(self):
        """Let the writer send what the session has ready."""
        self._wake.set()

    async def _open(self, host, port, usual, protocol):
        """Open a stream, to the usual port if none is named; with websockets, of that protocol.

        ConnectionFailedError, OperationTimeout.
        """
        websockets = self._options["websockets"]
        port = port or (443 if websockets else usual)
        if self._context is None:
            options = self._options
            self._context = client_context(options["server_verification_cert"], options["x509"])
        self._stream = await open_stream(host, port, self._context, self._timeout)
        self._error = None
        if websockets:
            from .websocket import upgrade

            try:
                upgraded = upgrade(self._stream, host, protocol)
                self._stream = await within(self._timeout, "websocket", upgraded)
            except BaseException:
                await self._hang_up(ConnectionDroppedError("it was given up", "websocket"))
                raise

    def _start_reading(self):
        self._watch.begin(ticks_ms())
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

    def _break(self, error):
        """The connection is useless: the keeper takes it down, or connect() where it is young."""
        if self._error is not None:
            return
        self._error = error
        self._fail(error)
        self._fail_answers(error)
        self._drained.set()
        if self.up:
            self._broken.set()

    # -- the three tasks --------------------------------------------------------------------

    async def _read(self, stream):
        """Feed the session with what comes; how long that may take is the keeper's business."""
        buffer = bytearray(1024)
        view = memoryview(buffer)
        try:
            while True:
                size = await stream.readinto(buffer)
                if not size:
                    raise ConnectionDroppedError("the hub closed the connection", "read")
                self._watch.alive(ticks_ms())
                self.session.feed(view[:size])
                if self.session.pump():
                    self._wake.set()
        except Exception as error:  # whatever it was: nobody reads on, so the connection ends
            self._break(error)

    async def _write(self, stream):
        """Send what the session has ready; the keeper watches over how long that takes."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self.session.pump():
                    self._watch.writing = ticks_ms()
                    await stream.write(self.session.take())
                    self._watch.writing = None
                    self._watch.sent = ticks_ms()
        except Exception as error:
            self._break(error)

    async def _keep(self):
        tick = min(1, self._timeout / 4, self._options["keep_alive"] / 8)
        while True:
            try:
                await asyncio.wait_for(self._broken.wait(), tick)
                self._broken.clear()
                await self._hang_up(self._error)
                self._owner.lost(self._error)
            except asyncio.TimeoutError:
                pass
            except Exception as error:  # without a keeper there would be no deadlines
                self._owner.problem(error)
            self._look(ticks_ms())
