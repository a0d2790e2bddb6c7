"""One MQTT session kept over successive TLS streams, with a deadline on every wait.

Three tasks: a reader and a writer for each connection, and a keeper from the first connect() to
disconnect(). The keeper is the deadline of the other two, so that the hot path needs no timer
of its own: it pings, notices silence, a stuck write or a missing PUBACK, takes the connection
down and tells the owner. It knows no topic of IoT Hub's.

The owner is told, as methods: message(topic, payload, receipt), oversized(topic, size),
problem(error), lost(error).
"""

import asyncio
import sys

from .compat import ticks_ms
from .deadline import Answer, within
from .errors import (
    ConnectionDroppedError,
    OperationCancelled,
    ProtocolError,
    ServiceError,
    refusal,
)
from .session import Session
from .watch import Watch

if sys.implementation.name == "micropython":
    from .stream import client_context, open_stream
else:
    from .stream_host import client_context, open_stream


class Link:
    """See the module. Times are in seconds, as in iothub.options."""

    def __init__(self, owner, credentials, options):
        self._owner = owner
        self._credentials = credentials
        self._options = options
        self._timeout = options["timeout"]
        self.message = owner.message
        self.oversized = owner.oversized
        self._watch = Watch(self._timeout, options["keep_alive"])
        self.session = Session(
            self,
            credentials.client_id,
            credentials.username(options["product_info"]),
            options["keep_alive"],
            options["window"],
            options["max_inbound"],
        )
        self.granted = {}  # filter: QoS, as the hub has them in its session
        self.answers = {}  # who waits for an answer on this connection: key: Answer
        self.up = False  # from CONNACK and the SUBACKs to the end of the connection
        self._context = None
        self._stream = None
        self._tasks = []
        self._keeper = None
        self._connack = None
        self._broken = asyncio.Event()
        self._error = None
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()

    @property
    def open(self):
        """Whether what is published now has a connection to leave by."""
        return self._stream is not None and self._error is None

    # -- connection -------------------------------------------------------------------------

    async def connect(self, password, filters, prologue):
        """Open a connection with `filters` ({filter: QoS}) granted.

        CONNECT, what is to be subscribed, what prologue() publishes and what waits to be sent
        leave in one flight. ConnectionFailedError, OperationTimeout, CredentialError.
        """
        if self._context is None:
            self._context = client_context(self._options["server_verification_cert"])
        host, port = self._credentials.host, self._credentials.port
        self._stream = await open_stream(host, port, self._context, self._timeout)
        self._error = None
        self._connack = Answer()
        try:
            await self._greet(password, filters, prologue)
            if self._error is not None:
                raise self._error
        except BaseException:
            await self._hang_up(ConnectionDroppedError("the connection was given up", "connack"))
            raise
        self.up = True
        self._tasks.append(asyncio.create_task(self._write(self._stream)))
        self.wake()
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    async def _greet(self, password, filters, prologue):
        """On a connection after the first the hub is taken to remember what it granted; where
        it says that it does not (session present 0), all of it follows behind.
        """
        session, stream = self.session, self._stream
        session.pswd = password.encode() if password is not None else None
        session.connect()
        answers = [self.begin_subscribe(name, filters[name]) for name in filters]
        prologue()
        session.pump()
        await within(self._timeout, stream.stage, stream.write(session.take()))
        self._watch.begin(ticks_ms())
        self._tasks.append(asyncio.create_task(self._read(stream)))
        session_present = await within(self._timeout, "connack", self._connack.wait())
        if not session_present and self.granted:
            forgotten, self.granted = self.granted, {}
            answers += [self.begin_subscribe(name, forgotten[name]) for name in forgotten]
            prologue()
            await within(self._timeout, stream.stage, stream.write(session.take()))
        for answer in answers:
            if answer is not None:
                await within(self._timeout, "subscribe", answer.wait())

    def begin_subscribe(self, name, qos):
        """Write a SUBSCRIBE; the Answer to come, or None where the hub has granted it before."""
        if name in self.granted:
            return None
        answer = Answer((name, qos))
        self.answers[self.session.subscribe(name, qos)] = answer
        return answer

    async def subscribe(self, name, qos):
        """Subscribe on the connection that stands. ServiceError: the hub does not grant it."""
        answer = self.begin_subscribe(name, qos)
        if answer is not None:
            self.wake()
            await within(self._timeout, "subscribe", answer.wait())

    async def disconnect(self):
        """Wait, within the timeout, for what is unacknowledged; say DISCONNECT; close."""
        stream = self._stream
        if stream is not None:
            try:
                if self.session.unacknowledged:
                    self._drained.clear()
                    await within(self._timeout, "disconnect", self._drained.wait())
                self._cancel_tasks()  # the writer must not write beside us
                self.session.disconnect()
                await within(self._timeout, "disconnect", stream.write(self.session.take()))
            except OSError as error:
                self._owner.problem(error)
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
        await self._hang_up(OperationCancelled("the client disconnected", "disconnect"))
        self.session.fail_all(OperationCancelled("the client disconnected", "puback"))

    def give_up(self, error):
        """Nobody will connect again: what is unacknowledged fails with `error`."""
        self.session.fail_all(error)

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
        if not self._connack.given:
            self._connack.fail(error)
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

    def _look(self, now):
        """What is due by now: messages given up, a ping, or the end of a connection."""
        self.session.expire(now, self._options["operation_timeout"] * 1000)
        if self.up and self._error is None:
            error = self._watch.overdue(now, self.session.oldest())
            if error is not None:
                self._break(error)
            elif self._watch.ping_due(now):
                self.session.ping()
                self._wake.set()

    # -- what the session says --------------------------------------------------------------

    def connack(self, code, session_present):
        if self._connack.given:
            raise ProtocolError("a second CONNACK", "connack")
        if code:
            self._connack.fail(refusal(code))
        else:
            self._connack.give(session_present)

    def suback(self, pid, codes):
        answer = self.answers.pop(pid, None)
        if answer is None:
            return
        name, qos = answer.about
        if codes[0] & 0x80:
            answer.fail(ServiceError("the hub does not grant " + name, "subscribe", codes[0]))
        else:
            self.granted[name] = qos
            answer.give()

    def puback(self, delivery):
        delivery.settled.set()
        if not self.session.unacknowledged:
            self._drained.set()

    def failed(self, delivery, error):
        delivery.error = error
        delivery.settled.set()

    def pong(self):
        pass  # any byte proves the hub alive, and the reader has noted it

    # -- what the owner asks ----------------------------------------------------------------

    def wake(self):
        """Let the writer send what the session has ready."""
        self._wake.set()

    async def deliver(self, topic, payload):
        """Publish at QoS 1; returns once acknowledged, over however many connections it takes.

        OperationTimeout at puback: the message is withdrawn; it may have arrived all the same.
        """
        delivery = self.session.publish(topic, payload, qos=1)
        delivery.accepted = ticks_ms()
        delivery.settled = asyncio.Event()
        self._wake.set()
        try:
            await delivery.settled.wait()  # the keeper holds the deadline
        except asyncio.CancelledError:
            self.session.withdraw(delivery)
            raise
        if delivery.error is not None:
            raise delivery.error
