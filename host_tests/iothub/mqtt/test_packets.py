from host_tests.support.raises import raises
from iothub.errors import ProtocolError
from iothub.mqtt.packets import Framer, write_connect, write_publish, write_subscribe


def written(write, *arguments):
    out = bytearray()
    write(out, *arguments)
    return bytes(out)


def test_connect():
    packet = written(write_connect, 0xC0, 60, [b"d", b"u", b"pw"])
    assert packet == b"\x10\x14\x00\x04MQTT\x04\xc0\x00\x3c\x00\x01d\x00\x01u\x00\x02pw"


def test_subscribe():
    packet = written(write_subscribe, 0x0102, b"a/#", 1)
    assert packet == b"\x82\x08\x01\x02\x00\x03a/#\x01"


def test_publish_without_and_with_an_id():
    assert written(write_publish, 0x30, b"t", b"xy") == b"\x30\x05\x00\x01txy"
    assert written(write_publish, 0x32, b"t", b"xy", 65535) == b"\x32\x07\x00\x01t\xff\xffxy"


def test_remaining_length_at_each_border():
    for size, encoded in (
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (16383, b"\xff\x7f"),
        (16384, b"\x80\x80\x01"),
        (262147, b"\x83\x80\x10"),
    ):
        packet = written(write_publish, 0x30, b"t", bytes(size - 3))
        assert packet[1 : 1 + len(encoded)] == encoded
        assert len(packet) == 1 + len(encoded) + size


def test_filter_longer_than_one_length_byte():
    name = b"devices/" + b"d" * 128 + b"/messages/devicebound/#"
    packet = written(write_subscribe, 1, name, 1)
    assert packet[:3] == b"\x82\xa4\x01"
    assert packet.endswith(name + b"\x01")


# -- cut out of a stream ------------------------------------------------------------------------

PUBACK = b"\x40\x02\x00\x07"


class Seen:
    """What a Framer made of some bytes."""

    def __init__(self, max_inbound=100):
        self.packets = []
        self.dropped = []
        self.framer = Framer(self._packet, self, max_inbound)

    def _packet(self, buffer, start, body, end):
        self.packets.append(bytes(buffer[start:end]))

    def on_no_room(self, first):
        self.dropped.append("no room")

    def on_oversized(self, topic, size):
        self.dropped.append((topic, size))


def test_several_packets_in_one_piece():
    seen = Seen()
    seen.framer.feed(PUBACK + b"\xd0\x00" + PUBACK)
    assert seen.packets == [PUBACK, b"\xd0\x00", PUBACK]


def test_byte_by_byte_is_as_all_at_once():
    data = PUBACK + b"\x30\x80\x01" + b"\x00\x01t" + bytes(125) + b"\xd0\x00"
    seen = Seen(200)
    for i in range(len(data)):
        seen.framer.feed(data[i : i + 1])
    assert [len(packet) for packet in seen.packets] == [4, 131, 2]
    assert b"".join(seen.packets) == data


def test_packet_over_the_bound_is_dropped_but_for_its_topic():
    seen = Seen(100)
    seen.framer.feed(b"\x30\x65\x00\x03abc" + bytes(96) + PUBACK)
    assert seen.dropped == [(b"abc", 101)]
    assert seen.packets == [PUBACK]


def test_dropped_packet_may_come_in_any_pieces():
    data = b"\x32\xe8\x07\x00\x03abc" + bytes(995) + PUBACK
    for step in (1, 3, 7, 500):
        seen = Seen(100)
        for i in range(0, len(data), step):
            seen.framer.feed(data[i : i + step])
        assert seen.dropped == [(b"abc", 1000)]
        assert seen.packets == [PUBACK]


def test_topic_too_long_to_keep_is_unknown():
    seen = Seen(100)
    seen.framer.feed(b"\x30\xd0\x0f\x07\xd0" + bytes(1998) + PUBACK)
    assert seen.dropped == [(None, 2000)]
    assert seen.packets == [PUBACK]


def test_claim_of_256_mb_costs_no_memory():
    seen = Seen(100)
    seen.framer.feed(b"\x30\xff\xff\xff\x7f\x00\x01t")
    for _ in range(50):
        seen.framer.feed(bytes(1024))
        assert len(seen.framer._buffer) == 0
    assert seen.dropped == [(b"t", 268435455)]


def test_length_of_five_bytes():
    raises(ProtocolError, Seen().framer.feed, b"\x30\x80\x80\x80\x80\x01")


def test_what_no_server_sends_is_refused_at_its_first_byte():
    for first in (0x00, 0x10, 0x48, 0x50, 0x82, 0x91, 0xA2, 0xC0, 0xD1, 0xE0, 0xF0):
        raises(ProtocolError, Seen().framer.feed, bytes([first]))
