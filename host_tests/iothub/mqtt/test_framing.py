"""iothub.mqtt.framing: packets cut out of a stream, and oversized ones discarded."""

from host_tests.support.raises import raises
from iothub.errors import ProtocolError
from iothub.mqtt.framing import Framer

PUBACK = b"\x40\x02\x00\x07"


class Seen:
    """The packets and oversized packets that a Framer finds."""

    def __init__(self, max_inbound=100):
        self.packets = []
        self.dropped = []
        self.framer = Framer(self._packet, self._oversized, max_inbound)

    def _packet(self, buffer, start, body, end):
        self.packets.append(bytes(buffer[start:end]))

    def _oversized(self, topic, size):
        self.dropped.append((topic, size))


def test_several_packets_in_one_piece():
    seen = Seen()
    seen.framer.feed(PUBACK + b"\xd0\x00" + PUBACK)
    assert seen.packets == [PUBACK, b"\xd0\x00", PUBACK]


def test_single_bytes_have_the_same_effect_as_one_piece():
    data = PUBACK + b"\x30\x80\x01" + b"\x00\x01t" + bytes(125) + b"\xd0\x00"
    seen = Seen(200)
    for i in range(len(data)):
        seen.framer.feed(data[i : i + 1])
    assert [len(packet) for packet in seen.packets] == [4, 131, 2]
    assert b"".join(seen.packets) == data


def test_oversized_packet_is_discarded_but_for_its_topic():
    seen = Seen(100)
    seen.framer.feed(b"\x30\x65\x00\x03abc" + bytes(96) + PUBACK)
    assert seen.dropped == [(b"abc", 101)]
    assert seen.packets == [PUBACK]


def test_oversized_packet_may_arrive_in_any_pieces():
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


def test_length_of_five_bytes_is_an_error():
    raises(ProtocolError, Seen().framer.feed, b"\x30\x80\x80\x80\x80\x01")


def test_packet_types_of_clients_are_refused_at_the_first_byte():
    for first in (0x00, 0x10, 0x48, 0x50, 0x82, 0x91, 0xA2, 0xC0, 0xD1, 0xE0, 0xF0):
        raises(ProtocolError, Seen().framer.feed, bytes([first]))
