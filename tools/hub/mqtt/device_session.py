"""A connected device over MQTT: telemetry, C2D messages, twin and direct methods.

Source: docs/protocol/mqtt.md.
"""

import asyncio
import json

from ..core import DeviceSession, json_body, twins
from ..core.durable_queue import DurableQueue
from ..core.errors import HubError
from . import packets, topics
from .packets import (
    DISCONNECT,
    PINGREQ,
    PUBACK,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Connect,
    Malformed,
    Publish,
)


class MqttDeviceSession(DeviceSession):
    """What one identity does over one connection, between CONNACK and the end."""

    def __init__(self, core, connection, identity, connect, has_certificate):
        self._core = core
        self._connection = connection
        self._identity = identity
        self._has_certificate = has_certificate
        self._persistent = not connect.clean_session
        self._subscriptions = {}  # {filter: QoS}
        self._will = None
        if connect.will_topic is not None:
            self._will = connect.will_topic, connect.will_body, connect.will_retain
        self._unacknowledged = {}  # packet id: C2D message
        self._packet_id = 0
        self._answers = DurableQueue(core.durable, self._send_answers, self._storage_failed)
        self._answering = None  # the task that sends what is in _answers

    @property
    def name(self):
        return self._identity.name

    def start(self):
        """Send CONNACK, become the identity's session, and deliver what waits for it."""
        kept = self._identity.subscriptions
        present = kept is not None and self._persistent
        self._subscriptions = dict(kept) if present else {}
        self._keep_subscriptions()
        self._connection.send(packets.connack(0, present))
        self._answering = asyncio.create_task(self._answers.run())
        self._core.connect(self._identity, self)
        self.deliver_messages()

    def closed(self):
        """The connection has ended: without DISCONNECT, the will becomes telemetry."""
        self._answering.cancel()
        self._core.disconnect(self._identity, self)
        if self._will is not None:
            topic, body, retain = self._will
            self._telemetry(topic, body, retain, {"iothub-MessageType": "Will"})

    # -- what the device sends --------------------------------------------------------------

    async def handle(self, packet):
        """Take in a packet. HubError: it is not supported, and the connection must close."""
        if isinstance(packet, Publish):
            await self._publish(packet)
        elif isinstance(packet, Connect):
            raise Malformed("a second CONNECT")
        elif packet.kind == PUBACK:
            message = self._unacknowledged.pop(packet.packet_id, None)
            if message is not None:
                self._identity.queue.complete(message)
        elif packet.kind == SUBSCRIBE:
            await self._subscribe(packet)
        elif packet.kind == UNSUBSCRIBE:
            await self._unsubscribe(packet)
        elif packet.kind == PINGREQ:
            self._connection.send(packets.PINGRESP)
        elif packet.kind == DISCONNECT:
            self._will = None
            self._connection.close("the device disconnected")

    async def _subscribe(self, packet):
        allowed = topics.allowed_filters(self._identity)
        codes = []
        for name, qos in packet.filters:
            if name not in allowed:
                raise HubError(
                    400,
                    "UnsupportedFilter",
                    f"the device subscribes to {name[:200]}: IoT Hub supports only "
                    f"{', '.join(sorted(allowed))}",
                )
            self._subscriptions[name] = min(qos, 1)
            codes.append(min(qos, 1))
        self._keep_subscriptions()
        await self._answers.put(packets.suback(packet.packet_id, codes), self._subscribed)

    def _subscribed(self):
        self.deliver_messages()
        self._core.methods.wake()

    async def _unsubscribe(self, packet):
        for name, _ in packet.filters:
            self._subscriptions.pop(name, None)
        self._keep_subscriptions()
        await self._answers.put(packets.unsuback(packet.packet_id))

    def _keep_subscriptions(self):
        kept = dict(self._subscriptions) if self._persistent else None
        self._identity.keep_subscriptions(kept)

    async def _publish(self, packet):
        if packet.qos == 2:
            raise HubError(400, "UnsupportedQoS", "IoT Hub does not support QoS 2: publish with 1")
        if not self._telemetry(packet.topic, packet.body, packet.retain):
            request = topics.parse_request(packet.topic)
            if request is None:
                raise HubError(
                    400,
                    "UnsupportedTopic",
                    f"the device publishes to {packet.topic[:200]}: this is neither its telemetry "
                    f"topic ({topics.telemetry_topic(self._identity)}) nor a twin or method topic",
                )
            await self._request(*request, packet.body)
        if packet.qos:
            await self._answers.put(packets.puback(packet.packet_id))

    def _telemetry(self, topic, body, retain, more=()):
        """Take in telemetry; False if it is another kind of topic."""
        parsed = topics.parse_telemetry(topic, self._identity)
        if parsed is None:
            return False
        system, application, annotations = parsed
        application.update(more)
        if retain:
            application["mqtt-retain"] = "true"
        by_certificate = self._has_certificate
        kind = self._identity.record["authentication"]["type"] if by_certificate else "sas"
        self._core.telemetry(self._identity, body, system, application, annotations, kind)
        return True

    async def _request(self, verb, detail, request_id, body):
        if verb == "method":
            self._core.methods.answer(self._identity, request_id, int(detail), body)
            return
        status, version, answer = 200, None, b""
        try:
            if verb == "get":
                answer = twins.device_document(self._identity.twin)
            else:
                status = 204
                version = self._core.report(self._identity, json_body.decode(body))
        except HubError as error:
            status = error.status
            details = {"errorCode": error.code, "message": str(error), "trackingId": ""}
            answer = json.dumps(details).encode()
        if topics.TWIN_ANSWERS in self._subscriptions:
            topic = topics.twin_answer(status, request_id, version)
            await self._answers.put(packets.publish(topic, answer))

    # -- answers that wait for the database -------------------------------------------------

    def _send_answers(self, answers):
        self._connection.send(b"".join(answers))

    def _storage_failed(self, error):
        self._connection.close(f"what the device sent could not be stored: {error}")

    # -- DeviceSession: what the core asks --------------------------------------------------

    def close(self, reason):
        self._connection.close(reason)

    def abort(self):
        self._connection.abort("cut on request")

    def deliver_messages(self):
        filters = topics.messages_filter(self._identity), topics.inputs_filter(self._identity)
        granted = [self._subscriptions[name] for name in filters if name in self._subscriptions]
        if not granted or self._connection.closed:
            return
        queue = self._identity.queue
        while (message := queue.take(self)) is not None:
            topic = topics.c2d_topic(self._identity, message)
            if max(granted):
                packet_id = self._next_packet_id()
                self._unacknowledged[packet_id] = message
                dup = message.deliveries > 1
                self._connection.send(packets.publish(topic, message.body, 1, packet_id, dup))
            else:
                self._connection.send(packets.publish(topic, message.body))
                queue.complete(message)

    def _next_packet_id(self):
        while True:
            self._packet_id = self._packet_id % 65535 + 1
            if self._packet_id not in self._unacknowledged:
                return self._packet_id

    def send_desired(self, patch):
        if topics.DESIRED in self._subscriptions:
            topic = topics.desired_patch(patch["$version"])
            self._connection.send(packets.publish(topic, json_body.encode(patch)))

    def call_method(self, name, request_id, body):
        if topics.METHODS not in self._subscriptions or self._connection.closed:
            return False
        self._connection.send(packets.publish(topics.method_request(name, request_id), body))
        return True
