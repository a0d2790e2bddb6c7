"""One MQTT session kept over successive TLS streams (see carrier). It knows no topic of IoT Hub's.

The owner is told, as methods: message(topic, payload, receipt), oversized(topic, size),
problem(error), lost(error).
"""

import asyncio

from .. import errors
from ..compat import const, ticks_ms
from ..connection import Carrier
from ..deadline import Answer, within
from ..errors import (
    ConnectionDroppedError,
    OperationCancelled,
    ProtocolError,
    ServiceError,
)
from .protocol import Session

_PORT = const(8883)


class Link(Carrier):
    """See the module. Times are in seconds, as in iothub.options."""

    def __init__(self, owner, credentials, options):
        super().__init__(owner, options, credentials.signer)
        self._credentials = credentials
        self.message = owner.message
        self.oversized = owner.oversized
        self.session = Session(
            self,
            credentials.client_id,
            credentials.username(options["product_info"], options["model_id"]),
            options["keep_alive"],
            options["window"],
            options["max_inbound"],
        )
        self.granted = {}  # filter: QoS, as the hub has them in its session
        self.clean_session = False
        self._connack = None

    # -- connection -------------------------------------------------------------------------

    async def connect(self, filters, prologue):
        """Open a connection with `filters` ({filter: QoS}) granted.

        CONNECT, what is to be subscribed, what prologue() publishes and what waits to be sent
        leave in one flight. ConnectionFailedError, OperationTimeout, CredentialError.
        """
        self._stream, self._error = await self.dial(), None
        self._connack = Answer()
        try:
            signed = self.sign()
            await self._greet(signed and signed[0], filters, prologue)
            if self._error is not None:
                raise self._error
        except BaseException:
            await self._hang_up(ConnectionDroppedError("the connection was given up", "connack"))
            raise
        self.shown(signed)
        self._start_writing()
        self._welcome()

    async def dial(self):  # type: ignore[override]
        """A stream to the hub. ConnectionFailedError, OperationTimeout."""
        credentials = self._credentials
        return await super().dial(credentials.host, credentials.port, _PORT, "mqtt")

    async def _greet(self, token, filters, prologue):
        """On a connection after the first the hub is taken to remember what it granted; where
        it says that it does not (session present 0), all of it follows behind.
        """
        session, stream = self.session, self._stream
        before = len(self.granted)  # a SUBACK of now may come in one piece with CONNACK
        session.connect(token, self.clean_session)
        answers = [self.begin_subscribe(name, filters[name]) for name in filters]
        prologue()
        session.pump()
        await within(self.timeout, stream.stage, stream.write(session.take()))
        self._start_reading()
        session_present = await within(self.timeout, "connack", self._connack.wait())
        if errors.tell:
            errors.tell(20, "connack", "session present" if session_present else "new session")
        if before and not session_present:
            answers += self.subscribe_anew()
            prologue()
            await within(self.timeout, stream.stage, stream.write(session.take()))
        await self.subscribed(answers)

    def subscribe_anew(self):
        """The hub has forgotten its subscriptions: the Answers to come."""
        forgotten, self.granted = self.granted, {}
        return [self.begin_subscribe(name, forgotten[name]) for name in forgotten]

    async def subscribed(self, answers):
        """Wait for what begin_subscribe() gave. ServiceError: the hub does not grant it."""
        for answer in answers:
            if answer is not None:
                await within(self.timeout, "subscribe", answer.wait())

    async def renew(self, signed=None):
        """Show a new token, on another connection that takes this one's place.

        signed: sign()'s. If it fails, with an error as connect()'s, this connection goes on.
        """
        from .handover import renew

        if not self.moving:
            await renew(self, signed or self.sign())

    def calm(self):
        return not self.session.unacknowledged and not self.answers and self.owner.calm()

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
        self.wake()
        await self.subscribed([answer])

    async def disconnect(self):
        """Wait, within the timeout, for what is unacknowledged; say DISCONNECT; close."""
        stream = self._stream
        if stream is not None:
            try:
                await within(self.timeout, "disconnect", self._drain())
                self._cancel_tasks()  # the writer must not write beside us
                self.session.disconnect()
                await within(self.timeout, "disconnect", stream.write(self.session.take()))
            except OSError as error:
                self.owner.problem(error)
        self._dismiss()
        await self._hang_up(OperationCancelled("the client disconnected", "disconnect"))
        self.session.fail_all(OperationCancelled("the client disconnected", "puback"))

    async def _drain(self):
        # What is unacknowledged may be acknowledged, given up, or cut off: all of it shows here.
        while self.session.unacknowledged and self._error is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

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
            error = self.watch.overdue(now, self.session.oldest())
            if error is not None:
                self.break_off(error)
            elif self.watch.ping_due(now):
                self.session.ping()
                self.wake()
            else:
                self._renew_if_due(now)

    # -- what the session says --------------------------------------------------------------

    def connack(self, code, session_present):
        if self._connack.given:
            raise ProtocolError("a second CONNACK", "connack")
        if code:
            from ..blame import refusal

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
        delivery.settle()

    def failed(self, delivery, error):
        delivery.settle(error)

    def written(self, data):
        self.session.reuse(data)

    def pong(self):
        pass  # any byte proves the hub alive, and the reader has noted it

    # -- what the owner asks ----------------------------------------------------------------

    def deliver(self, topic, payload):
        """Publish at QoS 1: a Delivery, to be awaited over however many connections it takes.

        OperationTimeout at puback: the message is withdrawn; it may have arrived all the same.
        """
        delivery = self.session.publish(topic, payload, qos=1)
        delivery.accepted = ticks_ms()  # the keeper holds the deadline
        self.wake()
        return delivery
