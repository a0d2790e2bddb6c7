"""MQTT 3.1.1 packets, as a server decodes and encodes them. No I/O; strict, and bounded.

Source: MQTT 3.1.1 (OASIS); its section numbers are in parentheses.
"""

import struct
from dataclasses import dataclass

from ..core.errors import HubError

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 10, 12, 14
_FLAGS = {CONNECT: 0, PUBACK: 0, SUBSCRIBE: 2, UNSUBSCRIBE: 2, PINGREQ: 0, DISCONNECT: 0}
PINGRESP = b"\xd0\x00"


class Malformed(HubError):
    """Bytes that are not a packet of MQTT 3.1.1; the connection must close."""

    def __init__(self, reason):
        super().__init__(400, "MalformedPacket", reason)


@dataclass
class Connect:
    level: int
    clean_session: bool
    keep_alive: int
    client_id: str
    user_name: str | None = None
    password: str | None = None
    will_topic: str | None = None
    will_body: bytes = b""
    will_qos: int = 0
    will_retain: bool = False


@dataclass
class Publish:
    topic: str
    body: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int = 0


@dataclass
class Packet:
    """SUBSCRIBE and UNSUBSCRIBE, with filters; PUBACK, PINGREQ and DISCONNECT, without."""

    kind: int
    packet_id: int = 0
    filters: tuple = ()  # (filter, QoS) of SUBSCRIBE, (filter, 0) of UNSUBSCRIBE


class Reader:
    """Takes the fields off a packet's body, and never reads beyond it."""

    def __init__(self, data):
        self._data = data
        self._at = 0

    @property
    def left(self):
        return len(self._data) - self._at

    def take(self, size):
        if size > self.left:
            raise Malformed("a field reaches beyond its packet")
        start = self._at
        self._at += size
        return self._data[start : self._at]

    def byte(self):
        return self.take(1)[0]

    def integer(self):
        return struct.unpack("!H", self.take(2))[0]

    def field(self):
        return self.take(self.integer())

    def text(self):
        """A UTF-8 string without NUL (1.5.3)."""
        try:
            text = self.field().decode()
        except UnicodeDecodeError:
            raise Malformed("a string is not UTF-8") from None
        if "\0" in text:
            raise Malformed("a string contains NUL")
        return text

    def rest(self):
        return self.take(self.left)


class Decoder:
    """feed() takes the bytes that arrive, and yields whole packets of at most `limit` bytes."""

    def __init__(self, limit):
        self.limit = limit
        self._buffer = bytearray()

    def feed(self, data):
        self._buffer += data
        at = 0
        try:
            while True:
                found = self._header(at)
                if found is None:
                    break
                body, length = found
                if len(self._buffer) < body + length:
                    break
                first = self._buffer[at]
                at = body + length
                yield decode(first, bytes(self._buffer[body:at]))
        finally:
            del self._buffer[:at]

    def _header(self, at):
        """(start of the body, its length), or None while not all of the header is here."""
        if at < len(self._buffer):
            _check_first(self._buffer[at])
        length = 0
        for i in range(4):
            if len(self._buffer) <= at + 1 + i:
                return None
            byte = self._buffer[at + 1 + i]
            length |= (byte & 127) << 7 * i
            if byte < 128:
                if length > self.limit:
                    raise Malformed(f"a packet of {length} bytes; the limit is {self.limit}")
                return at + 2 + i, length
        raise Malformed("a remaining length of more than four bytes")


def _check_first(first):
    """Malformed if no client sends such a first byte; the rest of the packet may never come."""
    if first >> 4 != PUBLISH and _FLAGS.get(first >> 4) != first & 15:
        raise Malformed(
            f"packet type {first >> 4} with flags {first & 15}: no client sends that (2.2)"
        )


def decode(first, body):
    """The packet with first byte `first` and `body`. Malformed: no client may send it."""
    kind, flags = first >> 4, first & 15
    reader = Reader(body)
    if kind == PUBLISH:
        return _publish(flags, reader)
    _check_first(first)
    if kind == CONNECT:
        return _connect(reader)
    packet = Packet(kind)
    if kind in (PUBACK, SUBSCRIBE, UNSUBSCRIBE):
        packet.packet_id = _packet_id(reader)
    if kind in (SUBSCRIBE, UNSUBSCRIBE):
        filters = []
        while reader.left:
            name = reader.text()
            qos = reader.byte() if kind == SUBSCRIBE else 0
            if not name or qos > 2:
                raise Malformed("a filter that is empty, or with a QoS over 2 (3.8.3)")
            filters.append((name, qos))
        if not filters:
            raise Malformed("SUBSCRIBE or UNSUBSCRIBE without a filter (3.8.3)")
        packet.filters = tuple(filters)
    if reader.left:
        raise Malformed(f"packet type {kind} has bytes after its last field")
    return packet


def _packet_id(reader):
    packet_id = reader.integer()
    if not packet_id:
        raise Malformed("packet id 0 (2.3.1)")
    return packet_id


def _publish(flags, reader):
    qos = flags >> 1 & 3
    if qos == 3:
        raise Malformed("PUBLISH with QoS 3 (3.3.1.2)")
    topic = reader.text()
    if not topic or "#" in topic or "+" in topic:
        raise Malformed("PUBLISH with an empty topic or a wildcard (3.3.2.1)")
    packet_id = _packet_id(reader) if qos else 0
    return Publish(topic, reader.rest(), qos, bool(flags & 1), bool(flags & 8), packet_id)


def _connect(reader):
    name, level = reader.text(), reader.byte()
    if name != "MQTT" or level != 4:
        # Another version may have other fields: only the level counts, for the refusal.
        return Connect(level if name == "MQTT" else 0, True, 0, "")
    flags = reader.byte()
    packet = Connect(level, bool(flags & 2), reader.integer(), reader.text())
    will_qos = flags >> 3 & 3
    if flags & 1 or will_qos > 2 or not flags & 4 and flags & 0x38:
        raise Malformed("CONNECT with wrong flags (3.1.2.3)")
    if flags & 4:
        packet.will_topic, packet.will_body = reader.text(), reader.field()
        packet.will_qos, packet.will_retain = will_qos, bool(flags & 0x20)
    if flags & 0x80:
        packet.user_name = reader.text()
    if flags & 0x40:
        if not flags & 0x80:
            raise Malformed("a password without a user name (3.1.2.9)")
        packet.password = reader.text()
    if reader.left:
        raise Malformed("CONNECT has bytes after its last field")
    return packet


def connack(code, session_present=False):
    return bytes((0x20, 2, session_present, code))


def puback(packet_id):
    return struct.pack("!BBH", 0x40, 2, packet_id)


def suback(packet_id, codes):
    return struct.pack("!BBH", 0x90, 2 + len(codes), packet_id) + bytes(codes)


def unsuback(packet_id):
    return struct.pack("!BBH", 0xB0, 2, packet_id)


def publish(topic, body, qos=0, packet_id=0, dup=False):
    topic = topic.encode()
    head = struct.pack("!H", len(topic)) + topic
    if qos:
        head += struct.pack("!H", packet_id)
    first = bytes((0x30 | dup << 3 | qos << 1,))
    return first + remaining_length(len(head) + len(body)) + head + body


def remaining_length(size):
    """The bytes of a packet's remaining length (2.2.3)."""
    out = bytearray()
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    out.append(size)
    return bytes(out)
