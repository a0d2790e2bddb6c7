"""iothub.amqp.frames, composites and sections, byte for byte."""

from host_tests.support.raises import raises
from iothub.amqp.codec import DecodeError, Described, Typed, encode
from iothub.amqp.composites import (
    ACCEPTED,
    ATTACH,
    BEGIN,
    OPEN,
    REJECTED,
    SOURCE,
    TRANSFER,
    Composite,
    composite_of,
)
from iothub.amqp.frames import AMQP_HEADER, HEARTBEAT, SASL, FrameDecoder, frame
from iothub.amqp.sections import SEQUENCE, VALUE, AmqpMessage, decode_message

BEGIN_FRAME = (
    b"\0\0\0\x1a\x02\0\0\x05\0\x53\x11\xc0\x0d\x08\x40\x43\x52\x0a\x52\x14\x40\x40\x40\x40"
)


def begin():
    return Composite(BEGIN, next_outgoing_id=0, incoming_window=10, outgoing_window=20)


def test_frame_byte_for_byte():
    data = bytes(frame(5, begin()))
    assert data == b"\0\0\0\x18" + BEGIN_FRAME[4:13].replace(b"\x0d", b"\x0b") + BEGIN_FRAME[13:]


def taken(data, piece=1):
    decoder = FrameDecoder(1000)
    found = []
    for at in range(0, len(data), piece):
        decoder.feed(data[at : at + piece])
        while True:
            one = decoder.take()
            if one is None:
                break
            found.append(one)
    return found


def test_frames_in_pieces():
    transfer = Composite(TRANSFER, handle=1, delivery_id=2, more=True)
    data = (
        bytes(frame(5, begin()))
        + HEARTBEAT
        + bytes(frame(1, transfer, b"pay", b"load", kind=SASL))
    )
    for piece in (1, 3, 7, 1000):
        first, second, third = taken(data, piece)
        assert first[:2] == (0, 5)
        assert first[2].incoming_window == 10
        assert first[2].handle_max is None
        assert second == (0, 0, None, b"")
        assert third[:2] == (SASL, 1)
        assert (third[2].handle, third[2].delivery_id, third[2].more) == (1, 2, True)
        assert third[3] == b"payload"


def test_extended_header_is_skipped():
    data = bytearray(frame(0, begin()))
    data[8:8] = b"more"
    data[3] += 4
    data[4] = 3
    assert taken(bytes(data))[0][2].outgoing_window == 20


def test_headers():
    decoder = FrameDecoder(1000)
    decoder.feed(AMQP_HEADER[:5])
    assert decoder.take_header() is None
    decoder.feed(AMQP_HEADER[5:] + HEARTBEAT)
    assert decoder.take_header() == AMQP_HEADER
    assert decoder.take() == (0, 0, None, b"")


def test_invalid_frames_are_errors():
    for data in (
        b"\0\0\0\x07\x02\0\0\0",
        b"\0\0\x04\0\x02\0\0\0",
        b"\0\0\0\x08\x01\0\0\0",
        b"\0\0\0\x08\x03\0\0\0",
        b"\0\0\0\x09\x02\0\0\0\x40",
        b"\0\0\0\x0b\x02\0\0\0\0\x53\x77",
    ):
        raises(DecodeError, taken, data, 1000)


def test_composites_in_composites():
    source = Composite(SOURCE, address="/a", filter={"f": Described("d", "x > 1")})
    attach = Composite(ATTACH, name="n", handle=3, role=True, source=source)
    (found,) = taken(bytes(frame(0, attach)))
    assert found[2].source.address == "/a"
    assert found[2].source.filter == {"f": Described("d", "x > 1")}
    assert found[2].target is None


def test_symbolic_descriptors():
    rejected = composite_of(Described("amqp:rejected:list", []))
    assert rejected.descriptor == REJECTED
    assert composite_of(Described("amqp:accepted:list", [])).descriptor == ACCEPTED
    unknown = Described("my:own", 5)
    assert composite_of(unknown) is unknown


def test_fields_are_checked():
    for values in (
        [],
        [None],
        [5],
        ["c", 5],
        ["c", "h", -1],
        ["c", "h", 2**32],
        ["c", "h", True],
        ["c"] * 11,
        ["c", "h", 1, 1, 1, [5]],
        "no list",
    ):
        raises(DecodeError, composite_of, Described(OPEN, values))
    opened = composite_of(Described(OPEN, ["c", None, 512]))
    assert (opened.container_id, opened.hostname, opened.max_frame_size) == ("c", None, 512)
    raises(DecodeError, composite_of, Described(OPEN, ["c"]), (BEGIN,))


def test_composite_never_prints_its_fields():
    assert repr(Composite(OPEN, container_id="secret")) == "<open>"
    raises(TypeError, Composite, OPEN, 5)


def test_message_byte_for_byte():
    message = AmqpMessage(b"hi", message_id="m")
    message.application = {"a": 1}
    assert message.encode() == (
        b"\0\x53\x73\xc0\x10\x0d\xa1\x01m" + b"\x40" * 12
        + b"\0\x53\x74\xc1\x06\x02\xa1\x01a\x55\x01"
        + b"\0\x53\x75\xa0\x02hi"
    )  # fmt: skip


def test_messages_are_decoded_as_they_were_encoded():
    message = AmqpMessage({"a": [Typed("uint", 5)]}, VALUE, correlation_id=7)
    message.annotations = {"x": Typed("timestamp", 9)}
    message.delivery_annotations = {"d": 1}
    message.application = {"u": Typed("uuid", b"0" * 16), "n": None}
    message.footer = {"f": "x"}
    back = decode_message(message.encode(), exact=True)
    assert back.body == message.body
    assert back.annotations == message.annotations
    assert back.delivery_annotations == message.delivery_annotations
    assert back.application == message.application
    assert back.footer == message.footer
    assert back.properties.correlation_id == 7
    assert decode_message(message.encode()).annotations == {"x": 9}


def test_bodies():
    assert decode_message(b"\0\x53\x75\xa0\x01a\0\x53\x75\xa0\x01b").body == b"ab"
    sequence = decode_message(AmqpMessage([[1], [2]], SEQUENCE).encode())
    assert (sequence.body_kind, sequence.body) == (SEQUENCE, [[1], [2]])
    assert decode_message(b"\0\x53\x77\x40").body is None
    assert decode_message(b"").body == b""


def test_invalid_messages_are_errors():
    data, value = b"\0\x53\x75\xa0\0", b"\0\x53\x77\x40"
    application = b"\0\x53\x74\xc1\x01\0"
    for encoded in (
        b"x",
        encode(5),
        encode(Described(0x99, 1)),
        data + value,
        value + value,
        data + application,
        application + application,
        b"\0\x53\x75\xa1\0",
        b"\0\x53\x74\x45",
        b"\0\x53\x73\x40",
        b"\0\x53\x76\x40",
    ):
        raises(DecodeError, decode_message, encoded)
