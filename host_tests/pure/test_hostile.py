"""Hostile bytes over MQTT and WebSocket: known errors at most, no wrong acknowledgement."""

import asyncio
import json

from mutate import cases, mutated, pieces

from iothub import topics
from iothub.errors import ConnectionDroppedError, ConnectionFailedError, ProtocolError
from iothub.handlers import Handlers
from iothub.messages import Message
from iothub.session import Session
from iothub.twin import Desired, desired_of
from iothub.websocket import WebSocket, upgrade

LIMIT = 3000
OWN = "devices/d/"


def publish(topic, body=b"", pid=0):
    topic = topic.encode()
    head = len(topic).to_bytes(2, "big") + topic + (pid.to_bytes(2, "big") if pid else b"")
    size = len(head) + len(body)
    length = bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))
    return bytes((0x32 if pid else 0x30,)) + length + head + body


TOPICS = (
    "devices/d/messages/devicebound/%24.mid=m%2F1&a=%C3%BC&none&empty=&iothub-ack=full",
    "devices/d/messages/devicebound/",
    "devices/d/modules/m/inputs/in%20put/a=b",
    "$iothub/twin/res/200/?$rid=1f&$version=7",
    "$iothub/twin/res/429/?$rid=20",
    "$iothub/methods/POST/re%20boot/?$rid=1%2F2",
    "$iothub/twin/PATCH/properties/desired/?$version=5",
)
BODIES = (
    b'{"desired":{"a":{"b":[1,2.5,null,true]},"$version":3},"reported":{"$version":1}}',
    b'{"a":{"b":1,"c":null},"$version":4}',
    b'"gr\xc3\xbc\\u00df"',
    b"[[[[[[1,-2e9]]]]]]",
    b'{"$version":5}',
    b"",
)
PACKETS = (
    b"\x20\x02\x00\x00",
    b"\x40\x02\x00\x01",
    b"\x90\x03\x00\x02\x01",
    b"\xd0\x00",
    publish(TOPICS[0], b"hello", 1),
    publish(TOPICS[1], b"x" * 200, 65535),
    publish(TOPICS[1], b"y" * (LIMIT + 50), 3),
    publish(TOPICS[3], BODIES[0]),
    publish(TOPICS[5], BODIES[1]),
    publish(TOPICS[6], BODIES[1], 9),
)


class Listener:
    """It takes all that a session tells, and keeps the messages."""

    def __init__(self):
        self.messages = []

    def message(self, topic, payload, receipt):
        self.messages.append((bytes(topic), bytes(payload), receipt[1]))

    def nothing(self, *arguments):
        pass

    connack = suback = puback = failed = oversized = pong = nothing


def expected(data):
    """[(topic, body, PUBACK that is due)] of the messages that are whole, by the book (3.3); up to
    what is no packet.
    """
    found, at = [], 0
    while at < len(data):
        first, size, shift = data[at], 0, 0
        at += 1
        while at < len(data) and data[at] & 128 and shift < 28:
            size |= (data[at] & 127) << shift
            at, shift = at + 1, shift + 7
        if at >= len(data) or shift == 28:
            break
        size |= data[at] << shift
        body = data[at + 1 : at + 1 + size]
        at += 1 + size
        if at > len(data):
            break
        if first >> 4 == 3 and size <= LIMIT:
            message = by_the_book(first, body)
            if message is None:
                break
            found.append(message)
        elif first >> 4 != 3 and not welcome(first, size):
            break
    return found


def welcome(first, size):
    if size > LIMIT:
        return first in (0x20, 0x40, 0x90, 0xD0)
    known = {0x20: size == 2, 0x40: size == 2, 0x90: size > 2, 0xD0: size == 0}
    return known.get(first, False)


def by_the_book(first, body):
    qos = first >> 1 & 3
    if len(body) < 2 or qos > 1:
        return None
    end = 2 + int.from_bytes(body[:2], "big")
    puback = b"\x40\x02" + body[end : end + 2] if qos else b""
    if len(body) < end + 2 * qos or puback[2:] == b"\0\0":
        return None
    return body[2:end], body[end + 2 * qos :], puback


def test_session_takes_whole_messages_and_nothing_else():
    taken = 0
    for chance in cases(600):
        listener = Listener()
        session = Session(listener, "d", "u", max_inbound=LIMIT)
        session.connect()
        data = bytes(mutated(chance, PACKETS))
        try:
            for piece in pieces(chance, data):
                session.feed(piece)
        except ProtocolError:
            pass
        assert listener.messages == expected(data), data
        taken += len(listener.messages)
    assert taken > 100


def test_topics_and_bags():
    parsers = (
        lambda topic: topics.parse_message(topic, OWN),
        topics.parse_twin_answer,
        topics.parse_method,
        topics.parse_desired,
        topics.decode_properties,
        lambda topic: topics.decode_message(topic, Message(b"")),
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


class Answers(list):
    """A transport that keeps what methods are answered: (rid, status)."""

    def send_method_response(self, rid, status, body):
        self.append((rid, status))


class Program(Handlers):
    """The receiving half of a client."""

    connected = False

    def __init__(self):
        super().__init__()
        self._options = {"handler_timeout": 5}
        self._transport = Answers()
        self._desired = Desired()
        self.on_method_request_received = lambda request: (200, request.payload)


async def play(chance):
    """The status that a method with a hostile body is answered; the same body as a twin's."""
    program = Program()
    body = bytes(mutated(chance, BODIES, 2))
    program.method("m", "rid", body)
    for take in (program._desired.patch, program._desired.whole, program._desired.patch):
        try:
            take(desired_of({"desired": json.loads(body)}))
        except ValueError:
            pass
    await asyncio.gather(*program._tasks)
    assert len(program._transport) == 1, body
    return program._transport[0][1]


def test_bodies_of_methods_are_answered_once():
    async def all_of_them():
        statuses = set()
        for chance in cases(300):
            statuses.add(await play(chance))
        return statuses

    assert asyncio.run(all_of_them()) == {200, 400}


class Scripted:
    """A stream that has all its bytes, and keeps what is written."""

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


def test_websocket_frames():
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


def test_answers_to_an_upgrade():
    async def ask(chance):
        try:
            await upgrade(Scripted(bytes(mutated(chance, ANSWER, 2)), chance), "h", "mqtt")
        except ConnectionFailedError:
            return
        raise AssertionError("an answer that cannot be right is taken")

    for chance in cases(200):
        asyncio.run(ask(chance))
