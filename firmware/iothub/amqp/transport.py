"""The AMQP transport: IoT Hub's features as links. Contract: docs/protocol/amqp.md, Device links.

Its public methods are those of Transport in iothub/__init__.pyi, where each is explained.
"""

import os

from ..compat import Future, as_coroutine, quote, ticks_ms, unix_time, wait_for
from ..errors import (
    HEAP_FULL,
    ConnectionDroppedError,
    OperationCancelled,
    RefusedError,
    ServiceError,
)
from ..net import dial
from ..pending import Delivery, Pending, answer
from .codec import Typed
from .composites import ACCEPTED, REJECTED, RELEASED, error_of
from .connection import PORT, AMQPConnection
from .convert import message_from, message_to
from .links import refusal
from .sections import AmqpMessage, correlation_of, decode_message

_DESIRED = "/notifications/twin/properties/desired"
_OUTCOMES = {"complete": ACCEPTED, "reject": REJECTED, "abandon": RELEASED}
_API = "2021-04-12"
_MAX_REDIRECTS = 3
_PATHS = {
    "messages": "/messages/devicebound",
    "twin": "/twin",
    "methods": "/methods/devicebound",
}


class AMQPTransport:
    """events: the Dispatcher. The features are "messages", "methods", "twin" and "desired"."""

    def __init__(self, credentials, events, options, context):
        self.credentials = credentials
        self._events = events
        self._options = options
        self._timeout = options["timeout"]
        own = "/devices/" + quote(credentials.device_id)
        if credentials.module_id:
            own += "/modules/" + quote(credentials.module_id)
        self._own = own
        self.renewal_lock = None  # renewal's
        self._rid = int.from_bytes(os.urandom(3), "big")
        limit = options["operation_timeout"] * 1000
        self.pending = Pending(limit, options["window"], "disposition")
        self.connection = None  # the current one, or the last that was,
        self._amqp = None  # and its AMQPConnection
        self._telemetry = None  # its Sender,
        self._links = {}  # and of features: (Sender or None, Receiver)
        self.context = context  # of TLS, for the next connection

    # -- connection -------------------------------------------------------------------------

    async def open(self, wanted):
        host, port = self.credentials.host, self.credentials.port
        redirects = _MAX_REDIRECTS
        while True:
            try:
                return await self._open(host, port, wanted)
            except ServiceError as error:
                info = error.info
                if error.code != "amqp:link:redirect" or not info or not redirects:
                    raise
                redirects -= 1
                host, port = info.get("network-host") or info["hostname"], info.get("port")

    async def _open(self, host, port, wanted):
        credentials = self.credentials
        amqp = AMQPConnection(self._options, credentials.hostname, credentials.client_id)
        self._amqp, self._telemetry, self._links = amqp, None, {}
        self.connection = amqp.connection
        try:
            stream = await dial(self._options, self.context, host, port, PORT, "AMQPWSB10")
            await amqp.open(stream, self._sign())
            # The hub has the token now: links may be attached.
            address = self._own + "/messages/events"
            self._telemetry = amqp.protocol.sender(self, address, None, self.pending)
            features, read_twin = wanted()
            links = [self._telemetry]
            for feature in features:
                links += self._attach(feature)
            await amqp.attached(links)
            if "desired" in features:
                await self._want_desired()
            twin = self._ask("GET", None, b" ")[1] if read_twin else None
            amqp.connection.set_open()
        except BaseException as error:
            amqp.connection.release(error)
            raise
        return twin

    def _attach(self, feature):
        """Attach what `feature` needs: the links that are new."""
        name = "twin" if feature == "desired" else feature
        if name in self._links:
            return []
        protocol, address = self._amqp.protocol, self._own + _PATHS[name]
        if name == "messages":
            receiver = protocol.receiver(self, address)
            self._links[name] = None, receiver
            return [receiver]
        correlation = "%s:%s" % (name, "".join(["%02x" % b for b in os.urandom(16)]))
        properties = {
            "com.microsoft:channel-correlation-id": correlation,
            "com.microsoft:api-version": _API,
        }
        sender = protocol.sender(self, address, properties)
        receiver = protocol.receiver(self, address, properties)
        self._links[name] = sender, receiver
        return [sender, receiver]

    async def _attached(self, feature):
        """Attach what `feature` needs. After an error the next call tries again."""
        links = self._attach(feature)
        try:
            await self._amqp.attached(links)
        except (OSError, RefusedError):
            for name in [name for name, pair in self._links.items() if pair[1] in links]:
                del self._links[name]
            raise

    def prepare(self):
        """Nothing: a feature needs no further module."""

    async def enable(self, feature):
        await self._attached(feature)
        if feature == "desired":
            await self._want_desired()

    async def wait_closed(self):
        connection = self._amqp.connection
        await connection.closed
        error = connection.closed.value  # its value by await takes heap
        connection.release(error)
        return error

    def is_open(self):
        return self._telemetry is not None and self._amqp.connection.state != "closed"

    async def close(self):
        error = OperationCancelled("the client disconnected", "disconnect")
        if self._amqp is not None:
            connection = self._amqp.connection
            try:
                if connection.is_up():
                    await wait_for(self.pending.drained(), self._timeout, "disconnect")
            except OSError as failure:
                self._events.report(failure)
            try:
                if connection.is_up():
                    await connection.close(error)
            except OSError as failure:
                self._events.report(failure)
            finally:
                connection.release(error)
        self.fail(OperationCancelled("the client disconnected", "disposition"))

    def fail(self, error):
        self.pending.fail(error)

    def tick(self, now):
        self.pending.expire(now)
        amqp = self._amqp
        if amqp is None or not amqp.connection.is_up():
            return
        amqp.tick(now, self.pending.oldest(unsent=True))
        if amqp.connection.renewal_due(now):
            from .. import renewal

            idle = not len(self.pending) and self._events.is_idle()
            renewal.begin(self, amqp.connection, self._events, idle)

    # -- the token --------------------------------------------------------------------------

    def _sign(self):
        return self.credentials.sign(unix_time() + self._options["sastoken_ttl"])

    def token(self):
        return self._sign()[0]

    async def renew(self):
        await self._amqp.put_token(self._sign())

    # -- telemetry --------------------------------------------------------------------------

    def send_message(self, message):
        head, body = message_to(message).parts_to_send()
        if self._options["qos"]:
            delivery = self.pending.add(head, body, ticks_ms())
            if self._amqp is not None:
                self._amqp.protocol.output.set()
        else:
            delivery = self._send(self._telemetry, head, body, "write")
            delivery.set_result()
        return as_coroutine(delivery)

    async def send_to(self, address, message):
        """Send an AmqpMessage on a link of its own; returns once the hub has taken it."""
        if not self.is_open():
            raise ConnectionDroppedError("there is no connection", "write")
        amqp = self._amqp
        sender = amqp.protocol.sender(self, address)
        await amqp.attached([sender])
        delivery = Delivery(*message.parts_to_send())
        settled = amqp.protocol.requests[delivery] = Future()
        sender.send(delivery)
        try:
            await wait_for(settled, self._timeout, "disposition")
        finally:
            amqp.protocol.requests.pop(delivery, None)
            sender.detach()

    def on_settled(self, delivery, state):
        """The hub has settled a Delivery."""
        outcome = getattr(state, "descriptor", None)
        error = getattr(state, "error", None)
        if outcome == REJECTED and error is None:  # final all the same: nothing tries it again
            error = ServiceError("the hub rejects it", "disposition", "amqp:rejected:list")
        elif outcome != ACCEPTED:
            error = refusal(error, "disposition")
        answer(self._amqp.protocol.requests, delivery, None, error)
        if outcome in (ACCEPTED, REJECTED):
            self.pending.settle(delivery, error)
        else:
            self.pending.send_again(delivery)  # released, or modified: not taken yet

    def _send(self, sender, head, body, stage):
        """Send a message settled, on the connection that stands: its Delivery."""
        if not self.is_open() or sender is None:
            raise ConnectionDroppedError("there is no connection", stage)
        delivery = Delivery(head, body)
        delivery.presettled = True
        sender.send(delivery)
        return delivery

    # -- what comes -------------------------------------------------------------------------

    def _feature(self, link):
        return link.address[len(self._own) :].split("/")[1]

    def on_message(self, receiver, number, payload):
        """Hand a message on by its link. One that cannot be read is reported, and refused."""
        try:
            amqp, feature = decode_message(payload), self._feature(receiver)
            if feature == "messages":
                # Settled once its handler has ended.
                self._events.on_message(message_from(amqp), (receiver, number))
                return
            if feature == "twin":
                self._on_twin(amqp)
            else:
                name = amqp.application["IoThub-methodname"]
                self._events.on_method(name, amqp.properties.correlation_id, amqp.body)
            _settle(receiver, number)
        except MemoryError:
            self.on_no_room(receiver, number)
        except Exception as error:
            # One bad message must not end the connection: it would come again, and again.
            _refuse(receiver, number, "amqp:decode-error", str(error))
            self._events.report(error)

    def on_no_room(self, receiver, number):
        """There was no heap for a message. One for the program is released when there is some;
        another one is refused, since it may be one that never fits.
        """
        feature = self._feature(receiver)
        if feature == "messages":
            self._events.part("inbox").on_no_room((receiver, number))
            return
        _refuse(receiver, number, "amqp:resource-limit-exceeded", "no heap for it")
        if feature == "twin":
            self._events.on_desired(None)
        self._events.report(HEAP_FULL)

    def pause_reading(self, paused):
        if "messages" in self._links:
            self._links["messages"][1].pause(paused)

    async def redeliver(self, receipts):
        for receipt in receipts:
            self.settle(receipt, "abandon")

    def on_oversized(self, receiver, number, size, head):
        """A message over max_inbound, which was not kept, but for its head."""
        from ..failures import OversizedError

        feature, limit = self._feature(receiver), self._options["max_inbound"]
        if feature == "messages":
            _refuse(receiver, number, "amqp:link:message-size-exceeded", "over max_inbound")
            self._events.dropped += 1
            self._events.report(OversizedError("message", size, limit))
            return
        _settle(receiver, number)
        rid = correlation_of(head)
        if feature == "twin" and rid is not None:
            error = OversizedError("twin", size, limit)
            answer(self._amqp.protocol.requests, rid, None, error)
            return
        if feature != "twin":
            self.respond(rid, 413, b"")
        stage = "desired" if feature == "twin" else "method"
        self._events.report(OversizedError(stage, size, limit))

    def on_detached(self, link, error):
        """The hub has ended a link. If it is needed, all begin anew on another connection."""
        if link is self._telemetry or any(link in pair for pair in self._links.values()):
            self._amqp.connection.abort(refusal(error, "link"))

    def settle(self, receipt, outcome):
        receiver, number = receipt
        if receiver.attached:
            _settle(receiver, number, _OUTCOMES[outcome])

    # -- twin -------------------------------------------------------------------------------

    async def request_twin(self, patch=None):
        if not self.is_open():
            raise ConnectionDroppedError("there is no connection", "twin")
        await self._attached("twin")
        if patch is None:
            return await self._answer(*self._ask("GET", None, b" "))
        return await self._answer(*self._ask("PATCH", "/properties/reported", patch))

    async def _answer(self, rid, asked):
        try:
            return await wait_for(asked, self._timeout, "twin")
        finally:
            self._amqp.protocol.requests.pop(rid, None)

    async def _want_desired(self):
        await self._answer(*self._ask("PUT", _DESIRED, b" "))

    def _ask(self, operation, resource, body):
        self._rid = (self._rid + 1) & 0xFFFFFF
        rid = "twin-%x" % self._rid
        message = AmqpMessage(body, correlation_id=rid)
        message.annotations = {"operation": operation}
        if resource is not None:
            message.annotations["resource"] = resource
        self._send(self._links["twin"][0], message.encode(), b"", "twin")
        asked = self._amqp.protocol.requests[rid] = Future()
        return rid, asked

    def _on_twin(self, amqp):
        rid = amqp.properties and amqp.properties.correlation_id
        if rid is None:
            self._events.on_desired(amqp.body)
            return
        status, error = amqp.annotations.get("status", 200), None
        if status >= 300:
            error = ServiceError("the hub refused a twin request", "twin", status)
        found = amqp.body, amqp.annotations.get("version")
        answer(self._amqp.protocol.requests, rid, found, error)

    # -- methods ----------------------------------------------------------------------------

    def respond(self, rid, status, body):
        if not isinstance(status, int):
            raise ValueError("a method's status is an integer")
        message = AmqpMessage(body, correlation_id=rid)
        message.application = {"IoThub-status": Typed("int", status)}
        sender = self._links["methods"][0] if "methods" in self._links else None
        self._send(sender, message.encode(), b"", "method")


def _settle(receiver, number, outcome=ACCEPTED, **fields):
    """A message has been dealt with: settle it, and let another come."""
    receiver.settle(number, outcome, **fields)
    receiver.grant()


def _refuse(receiver, number, condition, description):
    _settle(receiver, number, REJECTED, error=error_of(condition, description))
