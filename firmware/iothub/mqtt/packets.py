"""MQTT packets: cut out of a byte stream, each whole and of bounded size; and those written that
umqtt.simple cannot write. Without I/O; all fields are bytes.

Numbers are sections of MQTT 3.1.1.
"""

from ..compat import const
from ..errors import ProtocolError

_PUBLISH = const(3)
# The first bytes that a server sends: CONNACK, PUBACK, SUBACK, PINGRESP; PUBLISH has more flags.
_CONTROL = const(b"\x20\x40\x90\xd0")
# Of a packet too large to keep, this much is: enough for its topic.
_HEAD_LIMIT = const(1024)


def topic_end(buffer, body):
    """Where the topic of the PUBLISH whose body starts at `body` ends, as far as is known."""
    if len(buffer) < body + 2:
        return body + 2
    return body + 2 + (buffer[body] << 8 | buffer[body + 1])


class Framer:
    """packet(buffer, start, body, end) is called for each packet: its header stands at `start`,
    its body from `body` to `end`. events.on_oversized(topic or None, size) for each one dropped;
    events.on_no_room(first byte) for a PUBLISH that was, since the heap is full.
    """

    def __init__(self, packet, events, max_inbound):
        self._packet = packet
        self._events = events
        self._max_inbound = max_inbound
        self._buffer = bytearray()
        self._skip = 0
        self._length = 0

    def feed(self, data):
        """Take in what arrived. ProtocolError: no packet of a server's. MemoryError: the heap is
        full, and what came cannot be dropped.
        """
        if self._skip:
            drop = min(self._skip, len(data))
            self._skip -= drop
            data = data[drop:]
        buffer = self._buffer
        try:
            buffer.extend(data)
        except MemoryError:
            self._give_up(buffer)
            self.feed(data)
            return
        at = self._packets(buffer)
        if at:
            try:
                self._buffer = buffer[at:]
            except MemoryError:
                buffer[:at] = b""  # in place; it keeps the heap that it has

    def _give_up(self, buffer):
        """Drop the packet at the start of the buffer, of which more is to come."""
        body = self._header(buffer, 0)
        if not body:
            raise MemoryError
        self._events.on_no_room(buffer[0])
        self._skip = body + self._length - len(buffer)
        self._buffer = bytearray()

    def _packets(self, buffer):
        """Hand on the whole packets; where they end."""
        at = 0
        while True:
            body = self._header(buffer, at)
            if not body:
                break
            length = self._length
            end = body + length
            if length > self._max_inbound:
                topic = topic_end(buffer, body)
                enough = min(topic, body + _HEAD_LIMIT, end)
                if len(buffer) < enough:
                    break  # its topic may still come
                known = buffer[at] >> 4 == _PUBLISH and enough == topic
                head = bytes(buffer[body + 2 : topic]) if known else None
                self._events.on_oversized(head, length)
                self._skip = max(0, end - len(buffer))
            elif end > len(buffer):
                break
            else:
                try:
                    self._packet(buffer, at, body, end)
                except MemoryError:
                    self._events.on_no_room(buffer[at])
            at = min(end, len(buffer))
        return at

    def _header(self, buffer, at):
        """Where the body of the packet at `at` starts, and its _length; 0 while not all is here.

        What no server sends is refused at its first byte: its length may never be reached.
        """
        length = 0
        if at < len(buffer) and buffer[at] >> 4 != _PUBLISH and buffer[at] not in _CONTROL:
            raise ProtocolError("packet type %d, flags %d" % divmod(buffer[at], 16), "read")
        for i in range(4):
            if at + i + 1 >= len(buffer):
                return 0
            byte = buffer[at + i + 1]
            length |= (byte & 127) << 7 * i
            if byte < 128:
                self._length = length  # no tuple: that would cost each packet its heap
                return at + i + 2
        raise ProtocolError("a remaining length of more than four bytes", "read")


def write_connect(out, flags, keep_alive, fields):
    """CONNECT (3.1) with protocol level 4: `flags` as in 3.1.2.3, `fields` in payload order."""
    out.append(0x10)
    size = 10
    for field in fields:
        size += 2 + len(field)
    _length(out, size)
    out.extend(b"\0\x04MQTT\x04")
    out.append(flags)
    _integer(out, keep_alive)
    for field in fields:
        _integer(out, len(field))
        out.extend(field)


def write_subscribe(out, pid, topic, qos):
    """SUBSCRIBE (3.8) to one topic filter."""
    out.append(0x82)
    _length(out, 5 + len(topic))
    _integer(out, pid)
    _integer(out, len(topic))
    out.extend(topic)
    out.append(qos)


def write_publish(out, first, topic, payload, pid=0):
    """PUBLISH (3.3) with `first` as its first byte; `pid` is written at QoS 1 only."""
    out.append(first)
    size = 2 + len(topic) + len(payload)
    _length(out, size + 2 if pid else size)
    _integer(out, len(topic))
    out.extend(topic)
    if pid:
        _integer(out, pid)
    out.extend(payload)


def _integer(out, value):
    out.append(value >> 8)
    out.append(value & 255)


def _length(out, size):
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    out.append(size)
