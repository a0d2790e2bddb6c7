"""The MQTT transport: IoT Hub's features as topics. Contract: docs/protocol/mqtt.md.

Its public methods are those of Transport in iothub/__init__.pyi, where each is explained.
"""

import os

from ..compat import Future, as_coroutine, const, ticks_ms, unix_time, wait_for
from ..connection import Connection, dial
from ..errors import ConnectionDroppedError, OperationCancelled, ServiceError
from ..net import client_context
from ..pending import Pending
from .properties import telemetry_topic
from .protocol import MQTTProtocol

_PORT = const(8883)


class MQTTTransport:
    """events: the Dispatcher. The features are "messages", "methods", "twin" and "desired"."""

    def __init__(self, credentials, events, options):
        self.credentials = credentials
        self._events = events
        self._options = options
        self._timeout = options["timeout"]
        self.renewal_lock = None  # renewal's
        own = "devices/" + credentials.device_id
        if credentials.module_id:
            own += "/modules/" + credentials.module_id
        self._own = own + "/"  # the start of this device's or module's own topics
        self._telemetry = (self._own + "messages/events/").encode()
        self._granted = {}  # filter: QoS, as the hub has them in its session
        self._pending = Pending(options["operation_timeout"] * 1000, options["window"], "puback")
        # An answer to a request made before a restart must meet no request of now.
        self._rid = int.from_bytes(os.urandom(3), "big")
        self._wanted = False  # between open() and close()
        self._connection = None  # the current one, or the last that was
        self._target = None  # the protocol that takes what is published
        self._next = None  # the connection of a handover,
        self._handover = None  # and a Future for its end
        self.reload_roots()

    def stats(self):
        round_trip = None
        if self._connection is not None:
            round_trip = self._connection.keep_alive.round_trip
        return len(self._pending), round_trip

    # -- connection -------------------------------------------------------------------------

    def reload_roots(self):
        # At once: a context is one large object, and the heap is not yet in pieces.
        options = self._options
        self._context = client_context(options["server_verification_cert"], options["x509"])

    def _dial(self):
        host, port = self.credentials.host, self.credentials.port
        return dial(self._options, self._context, host, port, _PORT, "mqtt")

    def _begin(self, token):
        """A Connection whose first flight begins with CONNECT."""
        options, credentials = self._options, self.credentials
        protocol = MQTTProtocol(
            self,
            self._pending,
            credentials.client_id,
            credentials.username(options["product_info"], options["model_id"]),
            options["keep_alive"],
            options["max_inbound"],
        )
        will = options["will"]
        if will is not None:
            protocol.set_last_will(telemetry_topic(self._telemetry, will), will.payload(), qos=1)
        protocol.connect(token)
        return Connection(protocol, self._timeout, options["keep_alive"])

    async def open(self, wanted):
        # CONNECT, SUBSCRIBEs, the twin's request and waiting telemetry leave in one flight. On a
        # connection after the first the hub is taken to remember what it granted.
        self._wanted = True
        stream = await self._dial()
        token = self.token()
        connection = self._connection = self._begin(token)
        self._target = connection.protocol
        self._pending.restart()
        before = len(self._granted)  # a SUBACK may come in one piece with CONNACK
        features, read_twin = wanted()
        asked = [self._ask_for(name) for name in features]
        twin = self._ask_twin()[1] if read_twin else None
        session_present = await connection.open(stream)
        try:
            if before and not session_present:
                asked += self._subscribe_again()
                twin = self._ask_twin()[1] if read_twin else None
            await self._subscribed(asked)
            connection.set_open()
        except BaseException:
            await connection.release(ConnectionDroppedError("it was given up", "subscribe"))
            raise
        connection.token_accepted(token)
        return twin

    async def wait_closed(self):
        while True:
            connection = self._connection
            error = await connection.closed
            if self._handover is not None:
                await self._handover
            if connection is self._connection:
                await connection.release(error)
                return error

    def is_open(self):
        connection = self._connection
        return connection is not None and (
            connection.state != "closed" or self._handover is not None
        )

    async def close(self):
        self._wanted = False
        error = OperationCancelled("the client disconnected", "disconnect")
        if self._next is not None:
            self._next.abort(error)
        self._end_handover()
        connection = self._connection
        if connection is not None:
            try:
                if connection.is_up():
                    await wait_for(self._pending.drained(), self._timeout, "disconnect")
                    await connection.close(error)
            except OSError as failure:
                self._events.report(failure)
            finally:
                await connection.release(error)
        self._pending.fail(OperationCancelled("the client disconnected", "puback"))

    def fail(self, error):
        self._pending.fail(error)

    def tick(self, now):
        self._pending.expire(now)
        connection = self._connection
        if connection is None or not connection.is_up():
            return
        keep_alive, protocol = connection.keep_alive, connection.protocol
        error = keep_alive.overdue(now, self._pending.oldest(), "puback")
        if error is not None:
            connection.abort(error)
        elif keep_alive.ping_due(now):
            protocol.ping()
            protocol.output.set()
        elif connection.renewal_due(now):
            from .. import renewal

            busy = len(self._pending) or self._target.requests
            renewal.begin(self, connection, self._events, not busy and self._events.is_idle())

    # -- the token --------------------------------------------------------------------------

    def token(self):
        signed = self.credentials.sign(unix_time() + self._options["sastoken_ttl"])
        return signed and signed[0]

    async def renew(self):
        # IoT Hub reads a token at CONNECT alone, and keeps one connection of each device: the
        # next one ends the first. So the first one serves until the hub accepts the next.
        from .handover import hand_over

        old, token = self._connection, self.token()
        handover = self._handover = Future()
        try:
            stream = await self._dial()
            if not self._wanted or self._connection is not old:
                await stream.close()
                raise OperationCancelled("the client was disconnected meanwhile", "token")
            new = self._next = self._begin(token)
            self._target = new.protocol  # what is published from now on leaves there
            session_present = await hand_over(old, new, stream)
            self._connection = new
            self._pending.restart()
            new.token_accepted(token)
            new.protocol.resume()
            self._events.on_handover()
            try:
                await self._subscribed([] if session_present else self._subscribe_again())
            except Exception as error:  # a connection that lacks a feature is worse than none
                new.abort(error)
                raise
        finally:
            self._target = self._connection.protocol
            if self._handover is handover:
                self._end_handover()

    def _end_handover(self):
        self._next = None
        handover, self._handover = self._handover, None
        if handover is not None:
            handover.set_result()

    # -- subscriptions ----------------------------------------------------------------------

    def _ask_for(self, feature):
        from .topics import filter_of

        return self._subscribe(*filter_of(feature, self._own))

    def _subscribe(self, topic, qos):
        """Ask for a subscription: (filter, QoS, Future), or None where it was granted before."""
        if topic in self._granted:
            return None
        return topic, qos, self._target.subscribe(topic, qos)

    def _subscribe_again(self):
        """The hub has forgotten its subscriptions."""
        forgotten, self._granted = self._granted, {}
        return [self._subscribe(topic, forgotten[topic]) for topic in forgotten]

    async def _subscribed(self, asked):
        """Wait for what was asked for. ServiceError: the hub does not grant it."""
        for one in asked:
            if one is not None:
                topic, qos, suback = one
                code = await wait_for(suback, self._timeout, "subscribe")
                if code & 0x80:
                    raise ServiceError("the hub does not grant " + topic, "subscribe", code)
                self._granted[topic] = qos

    async def enable(self, feature):
        await self._subscribed([self._ask_for(feature)])

    # -- outgoing ---------------------------------------------------------------------------

    def send_message(self, message):
        topic = telemetry_topic(self._telemetry, message)
        payload = message.payload()
        if self._options["qos"]:
            delivery = self._pending.add(topic, payload, ticks_ms())
            if self._connection is not None:
                self._connection.protocol.output.set()
        else:
            self._publish(topic, payload, "write")
            delivery = Future()
            delivery.set_result()
        return as_coroutine(delivery)

    async def request_twin(self, patch=None):
        subscribing = self._ask_for("twin") if self.is_open() else None
        rid, asked = self._ask_twin(patch)
        try:
            await self._subscribed([subscribing])
            return await wait_for(asked, self._timeout, "twin")
        finally:
            self._target.requests.pop(rid, None)

    def _ask_twin(self, patch=None):
        from .topics import twin_request

        self._rid = (self._rid + 1) & 0xFFFFFF
        rid = "%x" % self._rid
        self._publish(twin_request(rid, patch).encode(), patch or b"", "twin")
        asked = self._target.requests[rid] = Future()
        return rid, asked

    def respond(self, rid, status, body):
        from .topics import method_answer

        self._publish(method_answer(rid, status).encode(), body, "method")

    def settle(self, receipt, outcome):
        # MQTT can only complete: "reject" does that too, and what is "abandon"ed stays
        # unacknowledged, and comes again with the next connection.
        if outcome != "abandon":
            protocol, puback = receipt
            protocol.acknowledge(puback)

    def _publish(self, topic, payload, stage):
        if not self.is_open():
            raise ConnectionDroppedError("there is no connection", stage)
        self._target.publish(topic, payload)

    # -- what the protocol says -------------------------------------------------------------

    def on_publish(self, topic, payload, receipt):
        """Hand a PUBLISH on by its topic. One that cannot be read is reported, and dropped."""
        from .topics import dispatch

        try:
            if not dispatch(
                topic, payload, receipt, self._own, self._events, self._target.requests
            ):
                self.settle(receipt, "complete")
        except Exception as error:
            # One bad message must not end the connection: it would come again, and again.
            self._events.report(error)

    def on_oversized(self, topic, size):
        """A PUBLISH over max_inbound, which was not kept. topic: bytes, or None."""
        from .oversized import report

        limit = self._options["max_inbound"]
        report(topic, size, limit, self._events, self._target.requests, self.respond)
