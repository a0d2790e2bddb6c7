"""MQTT 3.1.1 packets, written and split without the code of the client or of the hub.

It runs on MicroPython too.
"""


def packet(first, body):
    """A control packet, from its first byte and its body (2.2)."""
    length, size = bytearray(), len(body)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    length.append(size)
    return bytes((first,)) + bytes(length) + body


def field(data):
    """Text or bytes after their length in two bytes (1.5.3)."""
    data = data.encode() if isinstance(data, str) else data
    return len(data).to_bytes(2, "big") + data


def connect(client_id, user, password, level=4, clean=False, keep_alive=60, will=None):
    """CONNECT; will: (topic, body), with QoS 1."""
    flags = 0xC0 | (2 if clean else 0) | (0x0C if will else 0)
    fields = (client_id, *(will or ()), user, password)
    head = b"\0\x04MQTT" + bytes((level, flags)) + keep_alive.to_bytes(2, "big")
    return packet(0x10, head + b"".join([field(one) for one in fields]))


def publish(topic, body=b"", packet_id=0, dup=False, retain=False):
    """PUBLISH, with QoS 1 where there is a packet id, else with QoS 0."""
    first = 0x30 | (8 if dup else 0) | (2 if packet_id else 0) | (1 if retain else 0)
    number = packet_id.to_bytes(2, "big") if packet_id else b""
    return packet(first, field(topic) + number + body)


def subscribe(topic_filter, qos=1, packet_id=1):
    return packet(0x82, packet_id.to_bytes(2, "big") + field(topic_filter) + bytes((qos,)))


def puback(packet_id):
    return packet(0x40, packet_id.to_bytes(2, "big"))


def published(first, body):
    """(topic, packet id or None, payload) of a PUBLISH."""
    assert first >> 4 == 3
    end = 2 + int.from_bytes(body[:2], "big")
    topic, rest = body[2:end].decode(), body[end:]
    if first & 6:
        return topic, int.from_bytes(rest[:2], "big"), rest[2:]
    return topic, None, rest


class Splitter:
    """Splits a stream into packets: feed() it bytes, take() packets."""

    def __init__(self):
        self._buffer = b""

    def feed(self, data):
        self._buffer += data

    def take(self):
        """(first byte, body, the whole packet), or None while it is incomplete."""
        length = 0
        for i in range(1, min(5, len(self._buffer))):
            byte = self._buffer[i]
            length |= (byte & 127) << 7 * (i - 1)
            if byte < 128:
                whole = self._buffer[: i + 1 + length]
                if len(whole) < i + 1 + length:
                    return None
                self._buffer = self._buffer[len(whole) :]
                return whole[0], whole[i + 1 :], whole
        return None
