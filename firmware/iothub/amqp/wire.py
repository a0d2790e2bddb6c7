"""One AMQP connection kept over successive TLS streams (see carrier), and its token.

The token is put on $cbs, or goes with SASL PLAIN; it is renewed on the live connection before it
expires. Source: spec iothub-amqp, "Authentication".

The owner is told, as methods: received(receiver, number, payload), oversized(receiver, number,
size, head), settled(delivery, state), detached(link, error), due(now), problem(error),
lost(error), expiring().
"""

import os

from ..compat import ticks_diff
from ..connection import Carrier
from ..deadline import Answer, within
from ..errors import (
    ConnectionDroppedError,
    CredentialError,
    OperationCancelled,
    OperationTimeout,
    ProtocolError,
    ServiceError,
)
from .composites import ACCEPTED
from .links import Delivery
from .protocol import Session
from .sections import VALUE, AmqpMessage, decode_message

PORT = 5671


class Wire(Carrier):
    """See the module. Times are in seconds, as in iothub.options."""

    def __init__(self, owner, options, host, port, hostname, container_id, signer, max_frame=4096):
        super().__init__(owner, options, signer)
        self._place = host, port
        self._redirected = None  # where the next connection goes instead
        idle = int(options["keep_alive"] * 1000)
        self._idle = idle + idle // 2
        self.session = Session(
            self, container_id, hostname, idle, max_frame, options["max_inbound"]
        )
        self._cbs = None  # (Sender, Receiver) while they are attached
        self._opened = None
        self._request = int.from_bytes(os.urandom(3), "big")

    # -- connection -------------------------------------------------------------------------

    async def connect(self):
        """Open a connection, and show the token. ConnectionFailedError, OperationTimeout,
        CredentialError. The owner says welcome() once it has what it needs.
        """
        self._cbs = None
        (host, port), self._redirected = self._redirected or self._place, None
        self._stream, self._error = await self.dial(host, port, PORT, "AMQPWSB10"), None
        self._opened = Answer()
        plain = self._options["sasl"] == "plain" and self._signer is not None
        try:
            token = self.sign()
            if plain:
                response = ("\0%s\0%s" % (token[2], token[0])).encode()
                self.session.start("PLAIN", response)
            else:
                self.session.start("ANONYMOUS")
            stream = self._stream
            await within(self.timeout, stream.stage, stream.write(self.session.take()))
            self._start_reading()
            self._start_writing()
            await within(self.timeout, "open", self._opened.wait())
            if token is not None and not plain:
                await self._put(token)
            self._check()
        except BaseException:
            await self.hang_up(ConnectionDroppedError("the connection was given up", "open"))
            raise
        self.shown(token)

    def _check(self):
        if self._error is not None:
            raise self._error

    def welcome(self):
        """The owner has what it needs: from now on a loss is told by lost()."""
        self._check()
        self._welcome()

    def follow(self, info):
        """The next connection, and that one alone, goes where a redirect says."""
        self._redirected = info.get("network-host") or info["hostname"], info.get("port")

    async def hang_up(self, error):
        """End the connection; the keeper stays, for the next one."""
        await self._hang_up(error)

    async def disconnect(self):
        """Say close, and close; whoever waits for an answer is told so."""
        stream = self._stream
        if stream is not None and self._error is None:
            try:
                self._cancel_tasks()  # the writer must not write beside us
                self.session.close()
                await within(self.timeout, "disconnect", stream.write(self.session.take()))
            except OSError as error:
                self.owner.problem(error)
        self._dismiss()
        await self.hang_up(OperationCancelled("the client disconnected", "disconnect"))

    def _fail(self, error):
        if not self._opened.given:
            self._opened.fail(error)

    def _look(self, now):
        """What is due by now: a heartbeat, a new token, or the end of a connection."""
        oldest = self.owner.due(now)
        if not self.up or self._error is not None:
            return
        error = self.watch.overdue(now, oldest, "disposition")
        if error is None and ticks_diff(now, self.watch.received) > self._idle:
            error = OperationTimeout("nothing came within %g s" % (self._idle / 1000), "ping")
        if error is not None:
            self.break_off(error)
            return
        quiet = self.session.remote_idle
        if quiet and ticks_diff(now, self.watch.sent) > quiet // 3:
            self.watch.sent = now
            self.session.heartbeat()
            self.wake()
        self._renew_if_due(now)

    # -- the token --------------------------------------------------------------------------

    async def renew(self, signed=None):
        """Put a new token (sign()'s, made here if it is not given) on the connection that stands.

        CredentialError: it is refused.
        """
        signed = signed or self.sign()
        await self._put(signed)
        self.shown(signed)

    async def _put(self, token):
        """Put a token on $cbs. CredentialError: the hub does not accept it."""
        if self._cbs is None:
            sender, sending = self.begin_sender("$cbs")
            receiver, receiving = self.begin_receiver("$cbs")
            await self.attached(sending, receiving)
            self._cbs = sender, receiver
        self._request = (self._request + 1) & 0xFFFFFF
        request = "%x" % self._request
        message = AmqpMessage(token[0], VALUE, message_id=request, to="$cbs", reply_to="cbs")
        message.application = {
            "operation": "put-token",
            "type": "servicebus.windows.net:sastoken",
            "name": token[1],
        }
        answer = self.answers[request] = Answer()
        self.send(self._cbs[0], Delivery(message.encode(), b"", True))
        try:
            status, description = await within(self.timeout, "token", answer.wait())
        finally:
            self.answers.pop(request, None)
        if status not in (200, 202):
            raise CredentialError(description or "the token is refused", "token", status)

    def _on_status(self, receiver, number, message):
        self.done(receiver, number)
        answer = self.answers.pop(message.properties and message.properties.correlation_id, None)
        if answer is not None:
            fields = message.application
            answer.give((fields.get("status-code"), fields.get("status-description")))

    # -- links ------------------------------------------------------------------------------

    def begin_sender(self, address, properties=None):
        """(Sender, Answer) of a link that is being attached."""
        return self._begin(self.session.sender(address, properties))

    def begin_receiver(self, address, *arguments):
        """(Receiver, Answer) of a link that is being attached."""
        return self._begin(self.session.receiver(address, *arguments))

    def _begin(self, link):
        answer = self.answers[link] = Answer()
        self.wake()
        return link, answer

    async def attached(self, *answers):
        """Wait for links. ServiceError, CredentialError: the hub refuses one."""
        for answer in answers:
            await within(self.timeout, "attach", answer.wait())

    def send(self, sender, delivery):
        """Queue a Delivery on a link."""
        sender.send(delivery)
        self.wake()

    def done(self, receiver, number, outcome=ACCEPTED, **fields):
        """A message has been dealt with: settle it, and let another come."""
        receiver.settle(number, outcome, **fields)
        receiver.grant()
        self.wake()

    # -- what the session says --------------------------------------------------------------

    def opened(self):
        self._opened.give()

    def link_attached(self, link):
        answer = self.answers.pop(link, None)
        if answer is not None:
            answer.give(link)

    def detached(self, link, error):
        answer = self.answers.pop(link, None)
        if answer is not None:
            answer.fail(refusal(error, "attach"))
        elif self._cbs is not None and link in self._cbs:
            self._cbs = None
        else:
            self.owner.detached(link, refusal(error, "link"))

    def received(self, receiver, number, payload):
        if self._cbs is not None and receiver is self._cbs[1]:
            self._on_status(receiver, number, decode_message(payload))
        else:
            self.owner.received(receiver, number, payload)

    def oversized(self, receiver, number, size, head):
        if self._cbs is not None and receiver is self._cbs[1]:
            raise ProtocolError("an answer of %d bytes" % size, "token")
        self.owner.oversized(receiver, number, size, head)

    def settled(self, delivery, state):
        self.owner.settled(delivery, state)

    def closed(self, error):
        if error is None:
            self.break_off(ConnectionDroppedError("the hub closed the connection", "read"))
        else:
            self.break_off(refusal(error, "close"))

    def refused(self, reason):
        self.break_off(CredentialError(reason, "sasl", 401))


def refusal(error, stage):
    """The exception for an error that the hub sent (a Composite, or None). Its `code` is the
    condition; `info` is what the hub added.
    """
    condition = getattr(error, "condition", None) or "amqp:link:detach-forced"
    description = getattr(error, "description", None) or "the hub says no more"
    kind = ServiceError
    if condition == "amqp:unauthorized-access":
        kind = CredentialError
    elif condition in ("amqp:connection:forced", "amqp:link:detach-forced", "amqp:link:stolen"):
        failure = ConnectionDroppedError("%s (%s)" % (description, condition), stage)
        failure.code, failure.info = condition, None  # type: ignore[attr-defined]
        return failure
    failure = kind(description, stage, condition)
    failure.info = getattr(error, "info", None)  # type: ignore[union-attr]
    return failure
