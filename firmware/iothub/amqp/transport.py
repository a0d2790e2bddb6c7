"""The AMQP transport: IoT Hub's features as links over a Wire.

It offers the client the few operations that mqtt's does, and tells it the same. Source: spec
iothub-amqp, "Device links".
"""

import os

from ..deadline import Answer, within
from ..errors import ConnectionDroppedError, OperationCancelled, ServiceError
from ..future import DONE, coroutine
from ..quoting import quote
from .codec import Typed
from .composites import ACCEPTED, REJECTED, RELEASED, error_of
from .convert import message_from, message_to
from .links import Delivery
from .pending import Pending
from .sections import AmqpMessage, correlation_of, decode_message
from .wire import Wire, refusal

_DESIRED = "/notifications/twin/properties/desired"
_OUTCOMES = {"complete": ACCEPTED, "reject": REJECTED, "abandon": RELEASED}
_API = "2021-04-12"
_MAX_REDIRECTS = 3


class AMQPTransport:
    """See the module. The features are "messages", "methods", "twin" and "desired"."""

    def __init__(self, credentials, client, options):
        self._client = client
        self.problem = client.problem
        self._timeout = options["timeout"]
        self._qos = options["qos"]
        self._window = options["window"]
        self._max_inbound = options["max_inbound"]
        own = "/devices/" + quote(credentials.device_id)
        if credentials.module_id:
            own += "/modules/" + quote(credentials.module_id)
        self._own = own
        self._rid = int.from_bytes(os.urandom(3), "big")
        self._pending = Pending(options["operation_timeout"])  # telemetry
        self._links = {}  # feature: (Sender or None, Receiver)
        self._events = None
        host, port = credentials.host, credentials.port
        name, signer = credentials.client_id, credentials.signer
        self._wire = Wire(self, options, host, port, credentials.hostname, name, signer)
        self.expiring = client.expiring
        self.renew = self._wire.renew
        self.trust_anew = self._wire.trust_anew

    def health(self):
        """(messages that wait to be acknowledged, round trip in ms or None)."""
        return len(self._pending), self._wire.watch.round_trip

    # -- connection -------------------------------------------------------------------------

    async def connect(self, features, read_twin=False):
        """Connect with `features` on; what waits is sent again. The wire makes its own tokens.

        With read_twin the twin is asked for too: an Answer, whose value is as request_twin()'s.
        """
        again = _MAX_REDIRECTS
        while True:
            try:
                return await self._connect(features, read_twin)
            except ServiceError as error:
                if error.code != "amqp:link:redirect" or not error.info or not again:  # type: ignore[attr-defined]
                    raise
                again -= 1
                self._wire.follow(error.info)  # type: ignore[attr-defined]

    async def _connect(self, features, read_twin):
        self._links = {}
        await self._wire.connect()
        try:
            self._events, answer = self._wire.begin_sender(self._own + "/messages/events")
            self._events.limit = self._window
            answers = [answer]
            for feature in features:
                answers += self._begin(feature)
            await self._wire.attached(*answers)
            self._pending.attach(self._events)
            if "desired" in features:
                await self._want_desired()
            asked = self._ask_twin(None)[1] if read_twin else None
            self._wire.welcome()
        except BaseException:
            await self._wire.hang_up(ConnectionDroppedError("it was given up", "attach"))
            raise
        self._wire.wake()
        return asked

    def _begin(self, feature):
        """Attach what `feature` needs, where it is not attached; the Answers to come."""
        name = "twin" if feature == "desired" else feature
        if name in self._links:
            return []
        path, handler = {
            "messages": ("/messages/devicebound", self._on_message),
            "twin": ("/twin", self._on_twin),
            "methods": ("/methods/devicebound", self._on_method),
        }[name]
        sender, answers, properties = None, [], None
        if name != "messages":
            correlation = "%s:%s" % (name, "".join(["%02x" % b for b in os.urandom(16)]))
            properties = {
                "com.microsoft:channel-correlation-id": correlation,
                "com.microsoft:api-version": _API,
            }
            sender, answer = self._wire.begin_sender(self._own + path, properties)
            sender.about = name
            answers.append(answer)
        receiver, answer = self._wire.begin_receiver(self._own + path, properties)
        receiver.about = handler
        self._links[name] = sender, receiver
        return answers + [answer]

    async def enable(self, feature):
        """Attach what `feature` needs, on the connection that stands."""
        await self._wire.attached(*self._begin(feature))
        if feature == "desired":
            await self._want_desired()

    async def disconnect(self):
        """Wait, within the timeout, for what is unsettled; close."""
        if self._wire.open and self._pending:
            self._pending.drained.clear()
            try:
                await within(self._timeout, "disconnect", self._pending.drained.wait())
            except OSError as error:
                self.problem(error)
        await self._wire.disconnect()
        self.give_up(OperationCancelled("the client disconnected", "disposition"))

    def give_up(self, error):
        """Nobody will connect again: what is unsettled fails with `error`."""
        self._pending.fail(error)

    def lost(self, error):
        """The wire's word: the connection is gone."""
        self._pending.drained.set()
        self._client.lost(error)

    def due(self, now):
        """What is oldest of what waits; what has waited too long fails."""
        return self._pending.oldest(now)

    def detached(self, link, error):
        """The hub has ended a link that is needed: all begin anew on another connection."""
        if link is self._events or link.about is not None:
            self._wire.break_off(error)

    # -- telemetry --------------------------------------------------------------------------

    def send_message(self, message):
        """Send telemetry. To be awaited: done once the hub has settled it.

        At QoS 0 it is done at once: the message is sent settled, on the connection that stands.
        """
        delivery = Delivery(*message_to(message).parts_to_send())
        if self._qos:
            return self._pending.deliver(self._wire, delivery)
        delivery.presettled = True
        self._send(self._events, delivery, "write")
        return coroutine(DONE)

    async def send_to(self, address, delivery):
        """Send a Delivery on a link of its own; returns once the hub has taken it."""
        if not self._wire.up:
            raise ConnectionDroppedError("there is no connection", "write")
        link, answer = self._wire.begin_sender(address)
        await self._wire.attached(answer)
        answer = self._wire.answers[delivery] = Answer()
        try:
            self._wire.send(link, delivery)
            await within(self._timeout, "disposition", answer.wait())
        finally:
            self._wire.answers.pop(delivery, None)
            link.detach()
            self._wire.wake()

    def settled(self, delivery, state):
        """The hub has settled a Delivery, or it was sent settled."""
        answer = self._wire.answers.pop(delivery, None)
        if answer is not None:
            if getattr(state, "descriptor", None) == ACCEPTED:
                answer.give()
            else:
                answer.fail(refusal(getattr(state, "error", None), "disposition"))
        self._pending.settled(delivery, state)

    def _send(self, sender, delivery, stage):
        if not self._wire.open or sender is None:
            raise ConnectionDroppedError("there is no connection", stage)
        self._wire.send(sender, delivery)

    # -- messages ---------------------------------------------------------------------------

    def received(self, receiver, number, payload):
        """Hand a message to whom it is for. One that nobody can read is reported, and refused."""
        try:
            if not receiver.about(receiver, number, decode_message(payload)):
                self._wire.done(receiver, number)
        except Exception as error:
            # One bad message must not end the connection: it would come again, and again.
            self._refuse(receiver, number, "amqp:decode-error", str(error))
            self.problem(error)

    def oversized(self, receiver, number, size, head):
        """A message over max_inbound, which was not kept: whoever waits for it is told."""
        from ..oversized import OversizedError

        feature = receiver.address[len(self._own) :].split("/")[1]
        if feature == "messages":
            self._refuse(receiver, number, "amqp:link:message-size-exceeded", "over max_inbound")
            self._client.oversized(OversizedError("message", size, self._max_inbound))
            return
        self._wire.done(receiver, number)
        rid = correlation_of(head)
        if feature == "twin" and rid is not None:
            answer = self._wire.answers.pop(rid, None)
            if answer is not None:
                answer.fail(OversizedError("twin", size, self._max_inbound))
            return
        if feature != "twin":
            self.send_method_response(rid, 413, b"")
        stage = "desired" if feature == "twin" else "method"
        self.problem(OversizedError(stage, size, self._max_inbound))

    def _refuse(self, receiver, number, condition, description):
        self._wire.done(receiver, number, REJECTED, error=error_of(condition, description))

    def _on_message(self, receiver, number, amqp):
        self._client.received(message_from(amqp), (receiver, number))
        return True  # settled once its handler has ended

    def settle(self, receipt, outcome):
        """Say what became of a C2D message: "complete", "reject" or "abandon"."""
        receiver, number = receipt
        if receiver.attached and self._wire.session.links.get(receiver.handle) is receiver:
            self._wire.done(receiver, number, _OUTCOMES[outcome])

    # -- twin -------------------------------------------------------------------------------

    async def request_twin(self, patch=None):
        """Get the twin (bytes of JSON), or report `patch` (bytes); (body, version) of the answer.

        ServiceError with the hub's status; ConnectionDroppedError; OperationTimeout at twin.
        """
        if not self._wire.open:
            raise ConnectionDroppedError("there is no connection", "twin")
        await self._wire.attached(*self._begin("twin"))
        return await self._answer(*self._ask_twin(patch))

    async def _answer(self, rid, answer):
        try:
            return await within(self._timeout, "twin", answer.wait())
        finally:
            self._wire.answers.pop(rid, None)

    def _ask_twin(self, patch):
        if patch is None:
            return self._ask("GET", None, b" ")
        return self._ask("PATCH", "/properties/reported", patch)

    async def _want_desired(self):
        await self._answer(*self._ask("PUT", _DESIRED, b" "))

    def _ask(self, operation, resource, body):
        self._rid = (self._rid + 1) & 0xFFFFFF
        rid = "twin-%x" % self._rid
        message = AmqpMessage(body, correlation_id=rid)
        message.annotations = {"operation": operation}
        if resource is not None:
            message.annotations["resource"] = resource
        answer = self._wire.answers[rid] = Answer()
        self._send(self._links["twin"][0], Delivery(message.encode(), b"", True), "twin")
        return rid, answer

    def _on_twin(self, receiver, number, amqp):
        rid = amqp.properties and amqp.properties.correlation_id
        if rid is None:
            self._client.desired(amqp.body)
            return
        answer = self._wire.answers.pop(rid, None)
        if answer is None:
            return  # of a request given up
        status = amqp.annotations.get("status", 200)
        if status >= 300:
            answer.fail(ServiceError("the hub refused a twin request", "twin", status))
        else:
            answer.give((amqp.body, amqp.annotations.get("version")))

    # -- methods ----------------------------------------------------------------------------

    def _on_method(self, receiver, number, amqp):
        name = amqp.application["IoThub-methodname"]
        self._client.method(name, amqp.properties.correlation_id, amqp.body)

    def send_method_response(self, rid, status, body):
        """Answer a method; an answer that misses its connection is worth nothing."""
        if not isinstance(status, int):
            raise ValueError("a method's status is an integer")
        message = AmqpMessage(body, correlation_id=rid)
        message.application = {"IoThub-status": Typed("int", status)}
        sender = self._links["methods"][0] if "methods" in self._links else None
        self._send(sender, Delivery(message.encode(), b"", True), "method")
