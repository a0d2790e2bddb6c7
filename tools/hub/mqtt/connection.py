"""The MQTT front: one Connection for each device, from TLS to the core.

IoT Hub is no broker: what it does not know closes the connection, and the log says why.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3

from ..core import twins
from ..core.errors import HubError
from ..tls import unsent
from . import login, packets, topics
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
from .registration import Registration

log = logging.getLogger("hub.mqtt")

MAX_PACKET = 300 * 1024  # telemetry of 256 KB, and its topic
MAX_OUT = 2 * 1024 * 1024
MAX_KEEP_ALIVE = 1767
CONNECT_TIMEOUT = 10
TOKEN_GRACE = 5
STOP_TIMEOUT = 2
REGISTRATION_TIMEOUT = 120
BACKLOG = 1024


class Connection:
    """One TCP connection; after CONNECT, the core's connection of one identity."""

    def __init__(self, core, reader, writer, chain=()):
        self._core = core
        self._chain = chain  # the certificates its client showed, DER
        self._reader = reader
        self._writer = writer
        self._peer = str(writer.get_extra_info("peername"))
        self._identity = None
        self._take = self._accept  # what becomes of the next packet
        self._filters = {}  # {filter: QoS}
        self._persistent = False
        self._will = None
        self._keep_alive = CONNECT_TIMEOUT
        self._unacked = {}  # packet id: C2D message
        self._packet_id = 0
        self._answers = asyncio.Queue(1000)  # bytes that may leave once the store is durable
        self._expiry = None
        self._watching = None
        self._heard = asyncio.get_running_loop().time()
        self._closed = None  # why

    def __str__(self):
        return self._identity.name if self._identity else self._peer

    # -- life -------------------------------------------------------------------------------

    async def run(self):
        """Serve until the end; never raises what the peer did."""
        answering = asyncio.create_task(self._answer())
        try:
            await self._serve()
        except HubError as error:
            self.close(str(error))
        except (OSError, EOFError) as error:
            self.close(str(error) or "the connection broke")
        finally:
            for timer in (self._expiry, self._watching):
                if timer is not None:
                    timer.cancel()
            answering.cancel()
            self._leave()
            self._writer.close()

    async def _serve(self):
        self._watch()
        decoder = packets.Decoder(MAX_PACKET)
        while self._closed is None:
            data = await self._reader.read(65536)  # bounded by _watch
            self._heard = asyncio.get_running_loop().time()
            if not data:
                self.close("the device closed the connection")
            for packet in decoder.feed(data):
                if self._closed is not None:
                    break
                await self._take(packet)

    def _watch(self):
        """Close once nothing has come for the keep-alive's time: one timer, however much comes."""
        loop = asyncio.get_running_loop()
        left = self._heard + self._keep_alive - loop.time()
        if left <= 0:
            self.drop("404104 DeviceConnectionClosedRemotely: nothing came in time")
        else:
            self._watching = loop.call_later(left, self._watch)

    def close(self, reason):
        """End the connection; the reason goes to the log."""
        if self._closed is None:
            self._closed = reason
            log.info("%s: closed: %s", self, reason)
            self._writer.close()

    def drop(self, reason="dropped on request"):
        """Cut the connection as a broken network does: nothing more is sent."""
        self._closed = reason
        log.info("%s: %s", self, reason)
        self._writer.transport.abort()

    def _leave(self):
        identity = self._identity
        if identity is None:
            return
        self._core.disconnect(identity, self)
        if self._will is not None:
            topic, body, retain = self._will
            self._telemetry(topic, body, retain, {"iothub-MessageType": "Will"})

    def send(self, data):
        """Write; a device that does not read is closed before it costs memory."""
        if self._closed is None:
            self._writer.write(data)
            if unsent(self._writer) > MAX_OUT:
                self.drop()

    async def _answer(self):
        """Send answers in order, each once what it acknowledges is durable."""
        while True:
            answers = [await self._answers.get()]
            while not self._answers.empty():
                answers.append(self._answers.get_nowait())
            try:
                await self._core.durable()
            except sqlite3.Error:
                self.close("what it sent could not be stored")
            self.send(b"".join(answers))
            if any(answer[0] == packets.SUBACK for answer in answers):
                self.messages_waiting()
                self._core.ready(self._identity)

    # -- CONNECT ----------------------------------------------------------------------------

    async def _accept(self, packet):
        if not isinstance(packet, Connect):
            raise Malformed("the first packet is not CONNECT")
        try:
            if Registration.named(packet):
                self._register(Registration(self._core, self, packet, self._chain))
                return
            identity, expiry = login.authenticate(self._core, packet, self._chain)
        except login.Refused as refusal:
            log.info("%s: refused (%d): %s", packet.client_id[:140], refusal.connack, refusal)
            self._writer.write(packets.connack(refusal.connack))
            self._closed = str(refusal)
            return
        self._identity = identity
        self._take = self._handle
        self._keep_alive = min(1.5 * (packet.keep_alive or MAX_KEEP_ALIVE), MAX_KEEP_ALIVE)
        self._watching.cancel()
        self._watch()  # by the keep-alive, from now on
        self._begin_session(packet)
        self._core.connect(identity, self)
        log.info("%s: connected", self)
        self.messages_waiting()
        if expiry is not None:
            until = max(0, expiry + TOKEN_GRACE - self._core.clock())
            loop = asyncio.get_running_loop()
            self._expiry = loop.call_later(until, self.close, "its token has expired")

    def _register(self, registration):
        self._take = registration.handle
        self._keep_alive = REGISTRATION_TIMEOUT
        self._watching.cancel()
        self._watch()
        self.send(packets.connack(0, False))

    def _begin_session(self, packet):
        identity = self._identity
        present = identity.filters is not None and not packet.clean_session
        self._filters = dict(identity.filters) if present else {}
        self._persistent = not packet.clean_session
        if packet.will_topic is not None:
            self._will = packet.will_topic, packet.will_body, packet.will_retain
        self._save_session()
        self.send(packets.connack(0, present))

    def _save_session(self):
        filters = dict(self._filters) if self._persistent else None
        if filters != self._identity.filters:
            self._identity.filters = filters
            self._identity.save()

    # -- packets ----------------------------------------------------------------------------

    async def _handle(self, packet):
        if isinstance(packet, Publish):
            await self._publish(packet)
        elif isinstance(packet, Connect):
            raise Malformed("a second CONNECT")
        elif packet.kind == PUBACK:
            message = self._unacked.pop(packet.packet_id, None)
            if message is not None:
                self._identity.queue.complete(message)
        elif packet.kind == SUBSCRIBE:
            await self._subscribe(packet)
        elif packet.kind == UNSUBSCRIBE:
            for name, _ in packet.filters:
                self._filters.pop(name, None)
            self._save_session()
            await self._answers.put(packets.unsuback(packet.packet_id))
        elif packet.kind == PINGREQ:
            self.send(packets.PINGRESP)
        elif packet.kind == DISCONNECT:
            self._will = None
            self.close("the device disconnected")

    async def _subscribe(self, packet):
        allowed = topics.granted(self._identity)
        codes = []
        for name, qos in packet.filters:
            if name not in allowed:
                raise HubError(400, "UnsupportedFilter", f"filter {name[:200]} is not IoT Hub's")
            self._filters[name] = min(qos, 1)
            codes.append(min(qos, 1))
        self._save_session()
        await self._answers.put(packets.suback(packet.packet_id, codes))

    async def _publish(self, packet):
        if packet.qos == 2:
            raise HubError(400, "UnsupportedQoS", "IoT Hub has no QoS 2")
        if not self._telemetry(packet.topic, packet.body, packet.retain):
            request = topics.parse_request(packet.topic)
            if request is None:
                topic = packet.topic[:200]
                raise HubError(400, "UnsupportedTopic", f"topic {topic} is not this device's")
            await self._request(*request, packet.body)
        if packet.qos:
            await self._answers.put(packets.puback(packet.packet_id))

    def _telemetry(self, topic, body, retain, more=()):
        """Take in telemetry; False if the topic is not for that."""
        parsed = topics.parse_telemetry(topic, self._identity)
        if parsed is None:
            return False
        system, application, annotations = parsed
        application.update(more)
        if retain:
            application["mqtt-retain"] = "true"
        kind = self._identity.record["authentication"]["type"] if self._chain else "sas"
        self._core.telemetry(self._identity, body, system, application, annotations, kind)
        return True

    async def _request(self, verb, detail, rid, body):
        if verb == "method":
            self._core.answer_method(self._identity, rid, int(detail), body)
            return
        status, version, answer = 200, None, b""
        try:
            if verb == "get":
                sections = ("desired", "reported")
                twin = {s: twins.plain(self._identity.twin[s]) for s in sections}
                answer = json.dumps(twin, ensure_ascii=False).encode()
            else:
                status, version = 204, self._core.report(self._identity, decode_json(body))
        except HubError as error:
            status = error.status
            details = {"errorCode": error.code, "message": str(error), "trackingId": ""}
            answer = json.dumps(details).encode()
        if topics.TWIN_ANSWERS in self._filters:
            topic = topics.twin_answer(status, rid, version)
            await self._answers.put(packets.publish(topic, answer))

    # -- what the core asks -----------------------------------------------------------------

    def messages_waiting(self):
        """Send what waits in the queue, if messages are subscribed to."""
        filters = topics.messages_filter(self._identity), topics.inputs_filter(self._identity)
        qos = max((self._filters[name] for name in filters if name in self._filters), default=None)
        if qos is None or self._closed is not None:
            return
        queue = self._identity.queue
        while (message := queue.take(self)) is not None:
            topic = topics.devicebound(self._identity, message)
            if qos:
                packet_id = self._next_packet_id()
                self._unacked[packet_id] = message
                dup = message.deliveries > 1
                self.send(packets.publish(topic, message.body, 1, packet_id, dup))
            else:
                self.send(packets.publish(topic, message.body))
                queue.complete(message)

    def _next_packet_id(self):
        while True:
            self._packet_id = self._packet_id % 65535 + 1
            if self._packet_id not in self._unacked:
                return self._packet_id

    def desired(self, patch):
        """Tell a change of desired properties, which holds its $version."""
        if topics.DESIRED in self._filters:
            topic = topics.desired_patch(patch["$version"])
            body = json.dumps(patch, ensure_ascii=False).encode()
            self.send(packets.publish(topic, body))

    def call_method(self, name, request_id, body):
        """Hand on a direct method; False where methods are not subscribed to."""
        if topics.METHODS not in self._filters or self._closed is not None:
            return False
        self.send(packets.publish(topics.method_request(name, request_id), body))
        return True


def decode_json(body):
    """Decoded JSON; HubError 400."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise HubError(400, "ArgumentInvalid", "the body is no JSON", 400004) from None


@contextlib.asynccontextmanager
async def serving(core, host, port, contexts):
    """Listen for devices; yields the port. At the end every connection is closed and gone."""
    running = set()

    async def accept(reader, writer):
        running.add(asyncio.current_task())
        try:
            with contextlib.suppress(asyncio.CancelledError):  # the hub stops
                await Connection(core, reader, writer, contexts.chain(writer)).run()
        finally:
            running.discard(asyncio.current_task())

    server = await asyncio.start_server(
        accept, host, port, ssl=contexts.first, ssl_handshake_timeout=15, backlog=BACKLOG
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        core.close_connections()
        for task in running:
            task.cancel()  # whoever has not said CONNECT yet
        if running:
            await asyncio.wait(running, timeout=STOP_TIMEOUT)
