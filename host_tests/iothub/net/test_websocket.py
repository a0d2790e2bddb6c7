"""iothub.net.websocket over a scripted stream: upgrade, frames, fragments, pings, close."""

import asyncio
import binascii
import hashlib

from host_tests.support.raises import raises
from iothub.errors import ConnectionDroppedError, ConnectionFailedError, ProtocolError
from iothub.net.websocket import WebSocket, masked, upgrade


class Scripted:
    """A stream that delivers `incoming`, `piece` bytes at a time, and records what is written."""

    stage = "write"

    def __init__(self, incoming=b"", piece=1000):
        self.incoming = incoming
        self.sent = bytearray()
        self._piece = piece

    async def write(self, data):
        self.sent.extend(data)

    async def readinto(self, buffer):
        size = min(len(buffer), self._piece, len(self.incoming))
        memoryview(buffer)[:size] = self.incoming[:size]
        self.incoming = self.incoming[size:]
        return size


class Server(Scripted):
    """Answers the upgrade as a server does, with `change` applied."""

    def __init__(self, change=lambda answer: answer, more=b""):
        super().__init__()
        self._change = change
        self._more = more

    async def write(self, data):
        self.sent.extend(data)
        key = bytes(self.sent).partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            b"sec-websocket-protocol: mqtt\r\nSec-WebSocket-Accept: "
            + binascii.b2a_base64(digest).strip()
            + b"\r\n\r\n"
        )
        self.incoming = self._change(answer) + self._more


def read(incoming, piece=1000, size=100):
    """(all data that arrives, what was written)."""

    async def run():
        stream = Scripted(incoming, piece)
        socket = WebSocket(stream)
        data = b""
        buffer = bytearray(size)
        while True:
            got = await socket.readinto(buffer)
            if not got:
                return data, bytes(stream.sent)
            data += buffer[:got]

    return asyncio.run(run())


CLOSE = b"\x88\x02\x03\xe8"


def test_upgrade():
    server = Server(more=b"\x82\x02hi" + CLOSE)

    async def run():
        socket = await upgrade(server, "hub", "mqtt")
        buffer = bytearray(10)
        return bytes(buffer[: await socket.readinto(buffer)])

    assert asyncio.run(run()) == b"hi"
    assert bytes(server.sent).startswith(b"GET /$iothub/websocket HTTP/1.1\r\nHost: hub\r\n")
    assert b"\r\nSec-WebSocket-Protocol: mqtt\r\n" in bytes(server.sent)


def test_invalid_upgrades_are_errors():
    for change in (
        lambda answer: answer.replace(b"101 Switching", b"403 Forbidden"),
        lambda answer: answer.replace(b"Accept: ", b"Accept: x"),
        lambda answer: answer.replace(b"protocol: mqtt", b"protocol: other"),
        lambda answer: answer.replace(b"HTTP/1.1", b"SSH-2.0"),
        lambda answer: answer[:-4],
        lambda answer: b"\xff" + answer,
        lambda answer: b"",
        lambda answer: b"x" * 10000,
    ):

        def run(change=change):
            asyncio.run(upgrade(Server(change), "hub", "mqtt"))

        assert raises(ConnectionFailedError, run).stage == "websocket"


def test_masking_twice_gives_the_original():
    for size in (0, 1, 3, 4, 63, 64, 65, 1000):
        data = bytes([i * 7 % 256 for i in range(size)])
        mask = b"\x01\x80\xff\x3c"
        expected = bytes([data[i] ^ mask[i % 4] for i in range(size)])
        assert masked(data, mask) == expected
        assert masked(expected, mask) == data


def test_frames_of_each_length():
    for size, head in (
        (5, b"\x82\x85"),
        (126, b"\x82\xfe\0\x7e"),
        (66000, b"\x82\xff" + b"\0" * 5),
    ):
        stream = Scripted()
        data = b"x" * size
        asyncio.run(WebSocket(stream).write(data))
        sent = bytes(stream.sent)
        assert sent.startswith(head)
        at = {5: 2, 126: 4, 66000: 10}[size]
        assert masked(sent[at + 4 :], sent[at : at + 4]) == data


def test_fragments_pings_and_close():
    long = b"y" * 300
    incoming = (
        b"\x02\x03abc" + b"\x89\x02hi" + b"\x80\x01d" + b"\x8a\0" + b"\x82\0"
        + b"\x82\x7e\x01\x2c" + long + b"\x82\x7f\0\0\0\0\0\0\0\x01e" + CLOSE + b"\x82\x01z"
    )  # fmt: skip
    for piece in (1, 2, 7, 1000):
        data, sent = read(incoming, piece, 50)
        assert data == b"abcd" + long + b"e"
        assert sent[:2] == b"\x8a\x82"  # a pong, masked
        assert masked(sent[6:8], sent[2:6]) == b"hi"
        assert sent[8:10] == b"\x88\x82"
        assert masked(sent[14:16], sent[10:14]) == b"\x03\xe8"
        assert len(sent) == 16


def test_invalid_frames_are_errors():
    for incoming in (
        b"\x82\x81\0\0\0\0x",
        b"\xc2\x01x",
        b"\x81\x01x",
        b"\x89\x7e\0\x80",
        b"\x83\0",
    ):
        raises(ProtocolError, read, incoming)


def test_end_of_stream_within_a_frame_is_an_error():
    raises(ConnectionDroppedError, read, b"\x82")
    raises(ConnectionDroppedError, read, b"\x82\x7e\0")
