"""The MQTT transport: IoT Hub's features as topics. Contract: docs/protocol/mqtt.md.

Its public methods are those of Transport in iothub/__init__.pyi, where each is explained.
"""

import os

# First: compiling a file needs more heap than its code has, and these are large.
from ..connection import Connection  # isort: skip
from .protocol import MQTTProtocol  # isort: skip
from .. import errors
from ..compat import Future, as_coroutine, const, ticks_ms, unix_time, wait_for
from ..errors import ConnectionDroppedError, OperationCancelled
from ..net import dial
from ..pending import Pending
from .properties import telemetry_topic

_PORT = const(8883)
_PATIENCE = const(2)  # seconds for the hub to end a connection with a will after DISCONNECT


class MQTTTransport:
    """events: the Dispatcher. The features are "messages", "methods", "twin" and "desired"."""

    def __init__(self, credentials, events, options, context):
        self.credentials = credentials
        self.events = events
        self._options = options
        self.timeout = options["timeout"]  # seconds for each step
        self.renewal_lock = None  # renewal's
        own = "devices/" + credentials.device_id
        if credentials.module_id:
            own += "/modules/" + credentials.module_id
        self._own = own + "/"  # the start of this device's or module's own topics
        self._telemetry = (self._own + "messages/events/").encode()
        self._granted = set()  # features that the hub has in its session,
        self._asked = None  # and those that open() asks for: [(feature, Future)]
        self.pending = Pending(options["operation_timeout"] * 1000, options["window"], "puback")
        # An answer to a request made before a restart must meet no request of now.
        self._rid = int.from_bytes(os.urandom(3), "big")
        self.connection = None  # the current one, or the last that was
        self.target = None  # the protocol that takes what is published
        self.handover = self.next = None  # a Future for its end, and its connection: handover.py
        self.closing = False  # whether close() was called since open(): no handover begins then
        self.context = context  # of TLS, for the next connection

    # -- connection -------------------------------------------------------------------------

    def dial(self):
        host, port = self.credentials.host, self.credentials.port
        return dial(self._options, self.context, host, port, _PORT, "mqtt")

    def begin(self, token):
        """A Connection whose first flight begins with CONNECT."""
        options, credentials = self._options, self.credentials
        protocol = MQTTProtocol(
            self,
            self.pending,
            credentials.client_id,
            credentials.username(options["product_info"], options["model_id"]),
            options["keep_alive"],
            options["max_inbound"],
        )
        will = options["will"]
        if will is not None:
            protocol.set_last_will(telemetry_topic(self._telemetry, will), will.payload(), qos=1)
        protocol.connect(token)
        connection = Connection(protocol, self.timeout, options["keep_alive"])
        if will is not None:
            connection.patience = _PATIENCE
        return connection

    async def open(self, wanted):
        # CONNECT, SUBSCRIBEs, the twin's request and waiting telemetry leave in one flight. On a
        # connection after the first the hub is taken to remember what it granted.
        token = self.token()
        self.closing = False
        connection = self.connection = self.begin(token)
        self.target = connection.protocol
        before = len(self._granted)  # a SUBACK may come in one piece with CONNACK
        features, read_twin = wanted()
        self._asked = asked = self._ask_for(features)  # it grows: see enable()
        twin = self._ask_twin()[1] if read_twin else None
        try:
            session_present = await connection.open(await self.dial())
            if errors.logger:
                errors.logger(20, "connack", "session present: %s" % session_present)
            if before and not session_present:
                asked += self.subscribe_again()
                twin = self._ask_twin()[1] if read_twin else None
            await self.subscribed(asked)
            connection.set_open()
            self._asked = None
            connection.token_accepted(token)
        except BaseException as error:
            try:
                if connection.patience:  # or the hub publishes the will
                    await connection.close(error)
            except OSError:
                pass
            finally:
                connection.release(error)
            raise
        return twin

    async def wait_closed(self):
        while True:
            connection = self.connection
            await connection.closed
            error = connection.closed.value  # its value by await takes heap
            if self.handover is not None:
                await self.handover
            if connection is self.connection:
                connection.release(error)
                return error

    def is_open(self):
        connection = self.connection
        return connection is not None and (
            connection.state != "closed" or self.handover is not None
        )

    async def close(self):
        error = OperationCancelled("the client disconnected", "disconnect")
        self.closing = True
        if self.handover is not None:
            from .handover import stop

            await stop(self, error)
        connection = self.connection
        if connection is not None:
            try:
                if connection.is_up():
                    await wait_for(self.pending.drained(), self.timeout, "disconnect")
            except OSError as failure:
                self.events.report(failure)
            try:
                if connection.is_up():
                    await connection.close(error)  # DISCONNECT, or the hub publishes the will
            except OSError as failure:
                self.events.report(failure)
            finally:
                connection.release(error)
        self.pending.fail(OperationCancelled("the client disconnected", "puback"))

    def fail(self, error):
        self.pending.fail(error)

    def pause_reading(self, paused):
        self.connection.pause_reading(paused)

    async def redeliver(self, receipts):
        connection = self.connection
        if connection.state == "open":  # else there will be another one anyway
            reason = "what had no room is asked for again"
            await connection.close(ConnectionDroppedError(reason, "message"))

    def tick(self, now):
        self.pending.expire(now)
        connection = self.connection
        if connection is None or not connection.is_up():
            return
        connection.tick(now)
        keep_alive, protocol = connection.keep_alive, connection.protocol
        try:
            error = keep_alive.overdue(now, self.pending.oldest(), "puback")
        except MemoryError:  # something is overdue, and there is no heap to say what
            error = errors.HEAP_FULL
        if error is not None:
            connection.abort(error)
        elif keep_alive.ping_due(now):
            protocol.ping()
            protocol.output.set()
        elif connection.renewal_due(now):
            from .. import renewal

            busy = len(self.pending) or self.target.requests
            renewal.begin(self, connection, self.events, not busy and self.events.is_idle())

    # -- the token --------------------------------------------------------------------------

    def token(self):
        signed = self.credentials.sign(unix_time() + self._options["sastoken_ttl"])
        return signed and signed[0]

    async def renew(self):
        from .handover import renew

        await renew(self)

    # -- subscriptions ----------------------------------------------------------------------

    def prepare(self):
        from . import topics  # noqa: F401

    def _ask_for(self, features):
        """Subscribe to what the hub has not granted yet: [(feature, Future)]."""
        asked = []
        for feature in features:
            if feature not in self._granted:
                from .topics import filter_of

                asked.append((feature, self.target.subscribe(*filter_of(feature, self._own))))
        return asked

    def subscribe_again(self):
        """The hub has forgotten its subscriptions: ask for all of them."""
        forgotten, self._granted = self._granted, set()
        return self._ask_for(forgotten)

    async def subscribed(self, asked):
        """Wait for what was asked for. ServiceError: the hub does not grant it."""
        for feature, suback in asked:
            code = await wait_for(suback, self.timeout, "subscribe")
            if code & 0x80:
                from ..errors import ServiceError

                raise ServiceError("the hub does not grant " + feature, "subscribe", code)
            self._granted.add(feature)

    async def enable(self, feature):
        asked = self._ask_for([feature])
        if self.connection.state == "opening":
            self._asked += asked  # open() waits for it: dialling may take longer than an answer
        else:
            await self.subscribed(asked)

    # -- outgoing ---------------------------------------------------------------------------

    def send_message(self, message):
        topic = telemetry_topic(self._telemetry, message)
        payload = message.payload()
        if self._options["qos"]:
            delivery = self.pending.add(topic, payload, ticks_ms())
            if self.connection is not None:
                self.connection.protocol.output.set()
        else:
            self._publish(topic, payload, "write")
            delivery = Future()
            delivery.set_result()
        return as_coroutine(delivery)

    async def request_twin(self, patch=None):
        subscribing = self._ask_for(["twin"]) if self.is_open() else []
        rid, asked = self._ask_twin(patch)
        try:
            await self.subscribed(subscribing)
            return await wait_for(asked, self.timeout, "twin")
        finally:
            self.target.requests.pop(rid, None)

    def _ask_twin(self, patch=None):
        from .topics import twin_request

        self._rid = (self._rid + 1) & 0xFFFFFF
        rid = "%x" % self._rid
        self._publish(twin_request(rid, patch).encode(), patch or b"", "twin")
        asked = self.target.requests[rid] = Future()
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
        self.target.publish(topic, payload)

    # -- what the protocol says -------------------------------------------------------------

    def on_publish(self, topic, payload, receipt):
        """Hand a PUBLISH on by its topic. One that cannot be read is reported, and dropped."""
        from .topics import dispatch

        try:
            requests = receipt[0].requests  # of the connection on which it came
            if not dispatch(topic, payload, receipt, self._own, self.events, requests):
                self.settle(receipt, "complete")
        except MemoryError:
            raise  # the message comes again, when there is room
        except Exception as error:
            # One bad message must not end the connection: it would come again, and again.
            self.events.report(error)

    def on_no_room(self, first):
        """There was no heap for a PUBLISH, whose first byte is `first`. Only a cloud-to-device
        message, which is of QoS 1, comes again; MemoryError: it is another.
        """
        if first & 0xF6 != 0x32:
            raise MemoryError
        self.events.part("inbox").on_no_room(None)

    def on_oversized(self, topic, size):
        """A PUBLISH over max_inbound, which was not kept. topic: bytes, or None."""
        from .oversized import report

        limit = self._options["max_inbound"]
        requests = self.target.requests
        report(topic, size, limit, self._own, self.events, requests, self.respond)
