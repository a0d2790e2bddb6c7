"""MQTT packets that a hub may send, for mutation; and the valid messages in any bytes."""

LIMIT = 3000  # what the sessions here take, at most


def publish(topic, body=b"", pid=0):
    topic = topic.encode()
    head = len(topic).to_bytes(2, "big") + topic + (pid.to_bytes(2, "big") if pid else b"")
    size = len(head) + len(body)
    length = bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))
    return bytes((0x32 if pid else 0x30,)) + length + head + body


TOPICS = (
    "devices/any/messages/devicebound/%24.mid=m%2F1&a=%C3%BC&none&empty=&iothub-ack=full",
    "devices/any/messages/devicebound/",
    "devices/any/modules/m/inputs/in%20put/a=b",
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


def whole_messages(data):
    """[(topic, body, PUBACK that is due)] of the messages that are whole, by the book (3.3); up to
    what is no packet, or a second CONNACK (3.2).
    """
    found, at, connacks = [], 0, 0
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
            message = _message(first, body)
            if message is None:
                break
            found.append(message)
        elif first >> 4 != 3:
            connacks += first == 0x20 and size == 2
            if connacks > 1 or not _welcome(first, size):
                break
    return found


def _welcome(first, size):
    if size > LIMIT:
        return first in (0x20, 0x40, 0x90, 0xD0)
    known = {0x20: size == 2, 0x40: size == 2, 0x90: size > 2, 0xD0: size == 0}
    return known.get(first, False)


def _message(first, body):
    qos = first >> 1 & 3
    if len(body) < 2 or qos > 1:
        return None
    end = 2 + int.from_bytes(body[:2], "big")
    puback = b"\x40\x02" + body[end : end + 2] if qos else b""
    if len(body) < end + 2 * qos or puback[2:] == b"\0\0":
        return None
    return body[2:end], body[end + 2 * qos :], puback
