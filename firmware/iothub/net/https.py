"""One HTTP/1.1 request on a TLS stream of its own, streamed from where it comes."""

from ..compat import wait_for
from ..errors import ConnectionDroppedError, ProtocolError

_MAX_HEAD = 4096


async def request(stream, timeout, method, host, path, headers, body=b"", limit=16384):
    """(status, body) of the answer. body: bytes, or (length, function(size) -> bytes).

    Each step gets `timeout` seconds; an answer over `limit` bytes is a ProtocolError. The stream
    is closed in any case.
    """
    length, read = body if isinstance(body, tuple) else (len(body), None)
    head = "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n" % (
        method,
        path,
        host,
        length,
    )
    for name, value in headers.items():
        head += "%s: %s\r\n" % (name, value)
    try:
        await wait_for(stream.write((head + "\r\n").encode()), timeout, stream.stage)
        if read is None:
            if body:
                await wait_for(stream.write(body), timeout, "write")
        else:
            await _stream(stream, timeout, length, read)
        return _parsed(await _read(stream, timeout, limit + _MAX_HEAD))
    finally:
        stream.close()


async def _stream(stream, timeout, length, read):
    while length:
        chunk = read(min(length, 2048))
        if not chunk:
            raise ValueError("the file ends %d bytes early" % length)
        await wait_for(stream.write(chunk), timeout, "write")
        length -= len(chunk)


async def _read(stream, timeout, limit):
    """All that comes until the server closes, or has sent what it said it would."""
    answer, buffer = bytearray(), bytearray(1024)
    while not _complete(answer):
        size = await wait_for(_some(stream, buffer), timeout, "read")
        if not size:
            break
        answer.extend(memoryview(buffer)[:size])
        if len(answer) > limit:
            raise ProtocolError("an answer of more than %d bytes" % limit, "read")
    return bytes(answer)


async def _some(stream, buffer):
    try:
        return await stream.readinto(buffer)
    except ConnectionDroppedError:
        return 0  # a server may end TLS without a word; what is missing is noticed


def _complete(answer):
    head, end, body = bytes(answer).partition(b"\r\n\r\n")
    if not end or head[9:12] in (b"204", b"304"):
        return bool(end)  # these have no body
    fields = _fields(head)
    if fields.get("transfer-encoding", "").lower() == "chunked":
        return body.endswith(b"0\r\n\r\n")
    length = fields.get("content-length")
    return length is not None and len(body) >= int(length)


def _fields(head):
    fields = {}
    for line in head.decode().split("\r\n")[1:]:
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    return fields


def _parsed(answer):
    head, end, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if not end or not words[0].startswith(b"HTTP/1.") or len(words) < 2 or not words[1].isdigit():
        raise ConnectionDroppedError("no whole answer of HTTP's", "read")
    fields = _fields(head)
    if fields.get("transfer-encoding", "").lower() == "chunked":
        body = _unchunked(body)
    elif len(body) < int(fields.get("content-length", "0")):
        raise ConnectionDroppedError("the answer is cut off", "read")
    return int(words[1]), body


def _unchunked(body):
    out = b""
    while True:
        size, end, rest = body.partition(b"\r\n")
        try:
            length = int(size.split(b";")[0].decode(), 16)
        except ValueError:
            length = -1
        if not end or not 0 <= length <= len(rest):
            raise ConnectionDroppedError("the answer is cut off", "read")
        if not length:
            return out
        out += rest[:length]
        body = rest[length + 2 :]
