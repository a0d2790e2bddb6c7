"""iothub.net.https: requests and responses over a scripted stream."""

import asyncio

from iothub.errors import ConnectionDroppedError, ProtocolError
from iothub.net.https import request


class Stream:
    """Delivers `answer` in pieces of `size` bytes, and records what is written."""

    stage = "write"

    def __init__(self, answer, size=1000):
        self.answer = answer
        self.size = size
        self.written = b""
        self.closed = False
        self.ended = False

    async def write(self, data):
        self.written += bytes(data)

    async def readinto(self, buffer):
        size = min(self.size, len(buffer), len(self.answer))
        buffer[:size] = self.answer[:size]
        self.answer = self.answer[size:]
        self.ended = self.ended or not size
        return size

    def close(self):
        self.closed = True


def ask(answer, body=b"", size=1000, limit=100):
    stream = Stream(answer, size)
    try:
        result = asyncio.run(request(stream, 5, "POST", "h", "/p", {"A": "b"}, body, limit))
    except Exception as error:
        result = error
    assert stream.closed
    return result, stream


def test_request():
    result, stream = ask(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"body", 7)
    assert result == (200, b"hi")
    assert stream.written == (
        b"POST /p HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\n"
        b"A: b\r\n\r\nbody"
    )
    assert not stream.ended  # it does not wait for the server to close


def test_body_from_a_file():
    pieces = [b"ab", b"c", b""]
    answer = b"HTTP/1.1 201 Created\r\n\r\n"
    result, stream = ask(answer, (3, lambda size: pieces.pop(0)))
    assert result == (201, b"")
    assert stream.written.endswith(b"Content-Length: 3\r\nA: b\r\n\r\nabc")
    result, _ = ask(answer, (3, lambda size: b""))
    assert isinstance(result, ValueError)


def test_answers_without_a_length():
    assert ask(b"HTTP/1.1 204 No Content\r\n\r\n", size=1)[0] == (204, b"")
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;x\r\n!\r\n0\r\n\r\n"
    )
    result, stream = ask(chunked, size=3)
    assert result == (200, b"hi!")
    assert not stream.ended
    assert ask(b"HTTP/1.0 200 OK\r\n\r\nall of it")[0] == (200, b"all of it")


def test_invalid_answers_are_errors():
    for answer in (
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n",
    ):
        assert isinstance(ask(answer)[0], ConnectionDroppedError)
    result, _ = ask(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000)
    assert isinstance(result, ProtocolError)
