"""Hostile bytes over MQTT and WebSocket: only documented errors, no wrong acknowledgement."""

import asyncio
import json

from host_tests.support.hostile_mqtt import BODIES, LIMIT, PACKETS, TOPICS, whole_messages
from host_tests.support.memory_stream import MemoryStream
from host_tests.support.mutation import cases, mutated, pieces
from host_tests.support.tasks import until
from iothub.compat import Future
from iothub.credentials import Credentials
from iothub.dispatcher import Dispatcher
from iothub.errors import ConnectionDroppedError, ConnectionFailedError, ProtocolError
from iothub.messages import Message
from iothub.mqtt import properties, topics
from iothub.mqtt.protocol import MQTTProtocol
from iothub.mqtt.transport import MQTTTransport
from iothub.net.websocket import WebSocket, upgrade
from iothub.options import checked
from iothub.pending import Pending
from iothub.twin import DesiredProperties, desired_section

OWN = "devices/any/"


class Events:
    """Keeps the messages that a protocol hands on."""

    def __init__(self):
        self.messages = []

    def on_publish(self, topic, payload, receipt):
        self.messages.append((bytes(topic), bytes(payload), receipt[1]))

    def on_oversized(self, topic, size):
        assert size > LIMIT

    def on_no_room(self, first):
        raise AssertionError


def test_only_whole_messages_are_delivered_and_acknowledged():
    taken = 0
    for chance in cases(600):
        events = Events()
        pending = Pending(120000, 16, "puback")
        protocol = MQTTProtocol(events, pending, "d", "u", max_inbound=LIMIT)
        protocol.connect()
        data = bytes(mutated(chance, PACKETS))
        try:
            for piece in pieces(chance, data):
                protocol.feed(piece)
        except ProtocolError:
            pass
        assert events.messages == whole_messages(data), data
        taken += len(events.messages)
    assert taken > 100


def test_hostile_topics_and_property_bags_are_value_errors_at_most():
    parsers = (
        lambda topic: topics.parse(topic, OWN),
        properties.decode_properties,
        lambda topic: properties.decode_message(topic, Message(b"")),
    )
    parts = [topic.encode() for topic in TOPICS]
    understood = 0
    for chance in cases(600):
        data = mutated(chance, parts, 2)
        try:
            topic = bytes(data).decode()
        except ValueError:
            continue
        for parse in parsers:
            try:
                understood += parse(topic) is not None
            except ValueError:
                pass
    assert understood > 100


class Told:
    """Takes what a PUBLISH may mean, and counts it."""

    def __init__(self):
        self.count = 0

    def tell(self, *arguments):
        self.count += 1

    on_message = on_method = on_desired = tell


def test_publishes_by_their_topics():
    told, parts = Told(), [topic.encode() for topic in TOPICS]
    answered = 0
    for chance in cases(400):
        requests = {"1f": Future(), "20": Future()}
        topic = bytes(mutated(chance, parts, 1))
        try:
            topics.dispatch(topic, b"{}", None, OWN, told, requests)
        except ValueError:
            pass
        answered += 2 - len(requests)
    assert told.count > 30
    assert answered > 10


class Device(MQTTTransport):
    """A transport whose hub sends these bytes after CONNACK."""

    def __init__(self, stream):
        self.stream = stream
        options = checked({"max_inbound": LIMIT})
        super().__init__(Credentials("h", "any", x509=True), Dispatcher(options), options, None)
        self.events.transport = self
        for name in ("on_background_exception", "on_message_received"):
            self.events.set_handler(name, lambda _: None)
        self.events.set_handler("on_method_request_received", lambda request: request.payload)

    async def dial(self):
        return self.stream


def test_hostile_bytes_end_a_connection_at_a_stage():
    async def ended(chance):
        stream = MemoryStream()
        device = Device(stream)
        stream.send(b"\x20\x02\x00\x00")
        await device.open(lambda: ([], False))
        for piece in pieces(chance, mutated(chance, PACKETS, 8)):
            stream.send(piece)
        stream.end()
        error = await device.wait_closed()
        device.fail(error)
        return error.stage

    async def all_of_them():
        stages = set()
        for chance in cases(300):
            stages.add(await ended(chance))
        return stages

    assert asyncio.run(all_of_them()) == {"read", "connack"}  # a second CONNACK


class Answers(list):
    """A transport that records the answers to methods: (rid, status)."""

    def respond(self, rid, status, body):
        self.append((rid, status))

    def is_open(self):
        return False

    def prepare(self):
        pass


async def play(chance):
    """The status that a method with a hostile body is answered with; the same body is a twin's,
    too.
    """
    answers, problems = Answers(), []
    dispatcher = Dispatcher({"handler_timeout": 5, "timeout": 5})
    dispatcher.transport = answers
    dispatcher.set_handler("on_background_exception", problems.append)
    dispatcher.set_handler("on_method_request_received", lambda request: (200, request.payload))
    body = bytes(mutated(chance, BODIES, 2))
    dispatcher.on_method("m", "rid", body)
    desired = DesiredProperties()
    for take in (desired.apply_patch, desired.apply_snapshot, desired.apply_patch):
        try:
            take(desired_section({"desired": json.loads(body)}))
        except ValueError:
            pass
    await until(dispatcher.is_idle)
    assert len(answers) == 1, body
    assert answers[0][0] == "rid"
    assert problems == []
    return answers[0][1]


def test_hostile_method_payloads_are_answered_once():
    async def all_of_them():
        statuses = set()
        for chance in cases(300):
            statuses.add(await play(chance))
        return statuses

    assert asyncio.run(all_of_them()) == {200, 400}


class Scripted:
    """A stream that has all its bytes at once, and records what is written."""

    stage = "write"

    def __init__(self, data, chance):
        self._data = data
        self._at = 0
        self._chance = chance
        self.written = bytearray()

    async def readinto(self, buffer):
        size = min(len(buffer), 1 + self._chance.below(50), len(self._data) - self._at)
        buffer[:size] = self._data[self._at : self._at + size]
        self._at += size
        return size

    async def write(self, data):
        self.written.extend(data)


FRAMES = (
    b"\x82\x05hello",
    b"\x02\x03abc\x80\x02de",
    b"\x89\x04ping",
    b"\x8a\x00",
    b"\x82\x7e\x01\x00" + b"m" * 256,
    b"\x82\x7f\0\0\0\0\0\0\0\x05eight",
    b"\x88\x02\x03\xe8",
)


def test_hostile_websocket_frames_are_documented_errors_at_most():
    async def read(chance):
        data = bytes(mutated(chance, FRAMES))
        stream = Scripted(data, chance)
        socket = WebSocket(stream)
        buffer = bytearray(64)
        got = 0
        try:
            while True:
                size = await socket.readinto(memoryview(buffer))
                if not size:
                    break
                got += size
        except (ProtocolError, ConnectionDroppedError):
            pass
        assert got <= len(data)
        assert len(stream.written) <= 4 * len(data)

    for chance in cases(400):
        asyncio.run(read(chance))


ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
    b"HTTP/1.1 403 Forbidden\r\n\r\n",
)


def test_hostile_upgrade_answers_are_refused():
    async def ask(chance):
        try:
            await upgrade(Scripted(bytes(mutated(chance, ANSWER, 2)), chance), "h", "mqtt")
        except ConnectionFailedError:
            return
        raise AssertionError("an answer that cannot be right is taken")

    for chance in cases(200):
        asyncio.run(ask(chance))
