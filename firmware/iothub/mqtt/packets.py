"""The MQTT packets that umqtt.simple cannot write, appended to a bytearray; all fields are bytes.

Lengths are those of the bytes. Source: MQTT 3.1.1, 2.2 and chapter 3.
"""


def write_connect(out, flags, keep_alive, fields):
    """CONNECT (3.1) with protocol level 4: `flags` as in 3.1.2.3, `fields` in payload order."""
    out.append(0x10)
    _length(out, 10 + sum(2 + len(field) for field in fields))
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
