"""One MQTT session kept over successive TLS streams (see carrier). It knows no topic of IoT Hub's.

The owner is told, as methods: message(topic, payload, receipt), oversized(topic, size),
problem(error), lost(error).
"""

import asyncio

from .carrier import Carrier
from .compat import const, ticks_ms
from .deadline import Answer, within
from .errors import (
    ConnectionDroppedError,
    OperationCancelled,
    ProtocolError,
    ServiceError,
    refusal,
)
from .session import Session

_PORT = const(8883)


class Link(Carrier):
    """See the module. Times are in seconds, as in iothub.options."""

    def __init__(self, owner, credentials, options):
        super().__init__(owner, options)
        self._credentials = credentials
        self.message = owner.message
        self.oversized = owner.oversized
        self.session = Session(
            self,
            credentials.client_id,
            credentials.username(options["product_info"]),
            options["keep_alive"],
            options["window"],
            options["max_inbound"],
        )
        self.granted = {}  # filter: QoS, as the hub has them in its session
        self._connack = None

    # -- connection -------------------------------------------------------------------------

    async def connect(self, password, filters, prologue):
        """Open a connection with `filters` ({filter: QoS}) granted.

        CONNECT, what is to be subscribed, what prologue() publishes and what waits to be sent
        leave in one flight. ConnectionFailedError, OperationTimeout, CredentialError.
        """
        await self._open(self._credentials.host, self._credentials.port, _PORT, "mqtt")
        self._connack = Answer()
        try:
            await self._greet(password, filters, prologue)
            if self._error is not None:
                raise self._error
        except BaseException:
            await self._hang_up(ConnectionDroppedError("the connection was given up", "connack"))
            raise
        self._start_writing()
        self._welcome()

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
        self._start_reading()
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
        self._dismiss()
        await self._hang_up(OperationCancelled("the client disconnected", "disconnect"))
        self.session.fail_all(OperationCancelled("the client disconnected", "puback"))

    def give_up(self, error):
        """Nobody will connect again: what is unacknowledged fails with `error`."""
        self.session.fail_all(error)

    def _fail(self, error):
        if not self._connack.given:
            self._connack.fail(error)

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
