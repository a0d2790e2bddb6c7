"""iothub.mqtt.packets, byte for byte."""

from iothub.mqtt.packets import write_connect, write_publish, write_subscribe


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
