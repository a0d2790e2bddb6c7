"""iothub.amqp.codec, byte for byte; the examples are those of AMQP 1.0, part 1."""

from host_tests.support.raises import raises
from iothub.amqp.codec import MAX_DEPTH, DecodeError, Described, Typed, decode, encode

EXACT = (
    (None, b"\x40"),
    (True, b"\x41"),
    (False, b"\x42"),
    (0, b"\x55\x00"),
    (-1, b"\x55\xff"),
    (127, b"\x55\x7f"),
    (128, b"\x81\0\0\0\0\0\0\0\x80"),
    (-129, b"\x81\xff\xff\xff\xff\xff\xff\xff\x7f"),
    (Typed("uint", 0), b"\x43"),
    (Typed("uint", 255), b"\x52\xff"),
    (Typed("uint", 256), b"\x70\0\0\x01\0"),
    (Typed("ulong", 0), b"\x44"),
    (Typed("ulong", 1), b"\x53\x01"),
    (Typed("ulong", 2**64 - 1), b"\x80" + b"\xff" * 8),
    (Typed("ubyte", 255), b"\x50\xff"),
    (Typed("byte", -128), b"\x51\x80"),
    (Typed("ushort", 65535), b"\x60\xff\xff"),
    (Typed("short", -2), b"\x61\xff\xfe"),
    (Typed("int", -2), b"\x54\xfe"),
    (Typed("int", 1000), b"\x71\0\0\x03\xe8"),
    (Typed("float", 1.5), b"\x72\x3f\xc0\0\0"),
    (1.5, b"\x82\x3f\xf8\0\0\0\0\0\0"),
    (Typed("char", "é"), b"\x73\0\0\0\xe9"),
    (Typed("timestamp", -1), b"\x83" + b"\xff" * 8),
    (Typed("uuid", b"0123456789abcdef"), b"\x980123456789abcdef"),
    (Typed("decimal32", b"abcd"), b"\x74abcd"),
    (b"ab", b"\xa0\x02ab"),
    (b"a" * 256, b"\xb0\0\0\x01\0" + b"a" * 256),
    ("é", b"\xa1\x02\xc3\xa9"),
    (Typed("symbol", "a"), b"\xa3\x01a"),
    ([], b"\xc0\x01\x00"),
    ([None, "a"], b"\xc0\x05\x02\x40\xa1\x01a"),
    ({}, b"\xc1\x01\x00"),
    ({"a": True}, b"\xc1\x05\x02\xa1\x01a\x41"),
    (Typed("array", ("symbol", ["a"])), b"\xf0\0\0\0\x0a\0\0\0\x01\xb3\0\0\0\x01a"),
    (Typed("array", ("uint", [])), b"\xf0\0\0\0\x05\0\0\0\0\x70"),
    (Described("d", "a"), b"\0\xa3\x01d\xa1\x01a"),
    (Described(0x24, []), b"\0\x53\x24\xc0\x01\x00"),
)


def test_exact_bytes():
    for value, data in EXACT:
        assert encode(value) == data, value
        assert decode(data, exact=True) == value, value


def test_other_encodings_of_the_same_value():
    for data, value in (
        (b"\x45", []),
        (b"\x56\x01", True),
        (b"\x56\x00", False),
        (b"\x81\0\0\0\0\0\0\0\x05", 5),
        (b"\xb1\0\0\0\x01a", "a"),
        (b"\xd0\0\0\0\x05\0\0\0\x01\x40", [None]),
        (b"\xd1\0\0\0\x06\0\0\0\x02\x41\x42", {True: False}),
        (b"\xe0\x04\x02\x50\x01\x02", [1, 2]),
        (b"\xe0\x02\x03\x41", [True, True, True]),
        (b"\xe0\x06\x02\0\xa3\x01d\x40", None),
    ):
        if value is not None:
            assert decode(data) == value, data


def test_plain_values_of_every_width():
    for value, data in EXACT:
        if isinstance(value, Typed) and value.kind not in ("uuid", "decimal32", "array"):
            assert decode(data) == value.value
    assert decode(encode(Typed("array", ("symbol", ["a", "b"])))) == ["a", "b"]


def test_long_values_use_the_wide_form():
    for count in (253, 254, 255, 256, 300):
        value = [None] * count
        assert decode(encode(value)) == value
        assert decode(encode("x" * count)) == "x" * count
        assert encode(value)[0] == (0xC0 if count < 255 else 0xD0)
        assert encode("x" * count)[0] == (0xA1 if count < 256 else 0xB1)


def test_arrays_of_every_type():
    for kind, items in (
        ("string", ["", "é"]),
        ("boolean", [True, False]),
        ("ulong", [0, 2**63]),
        ("list", [[], [1, "a"]]),
        ("map", [{"a": 1}]),
        ("array", [("int", [1, -1]), ("int", [])]),
        ("uuid", [b"0" * 16]),
        (Described("d", "int"), [1, 2]),
    ):
        value = Typed("array", (kind, items))
        assert decode(encode(value), exact=True) == value
    described = decode(encode(Typed("array", (Described("d", "int"), [1]))))
    assert described == [Described("d", 1)]


def test_malformed_encodings_are_errors():
    for data in (
        b"",
        b"\x55",
        b"\x99",
        b"\x40\x40",
        b"\x56\x02",
        b"\xa0\x03ab",
        b"\xb0\xff\xff\xff\xff",
        b"\xa1\x01\xff",
        b"\xa3\x02\xc3\xa9",
        b"\x73\0\0\xd8\0",
        b"\x73\0\x11\0\0",
        b"\xc0\x00",
        b"\xc0\x01\x01",
        b"\xc0\x02\x01",
        b"\xc0\x03\x01\x40\x40",
        b"\xc0\x02\x02\x40",
        b"\xd0\0\0\0\x04\xff\xff\xff\xff",
        b"\xc1\x03\x01\x40\x40",
        b"\xc1\x05\x04\x41\x40\x41\x40",
        b"\xc1\x04\x02\xc0\x01\x00",
        b"\xc1\x03\x02\x45\x40",
        b"\xf0\0\0\0\x05\xff\xff\xff\xff\x40",
        b"\xf0\0\0\0\x05\xff\xff\xff\xff\x50",
        b"\xe0\x01\x00",
        b"\0",
        b"\0\x53\x24",
        b"\0\x40\x40",
        b"\0\xc0\x01\x00\x40",
        b"\xa0\xff",
    ):
        assert isinstance(raises(DecodeError, decode, data), ValueError), data


def test_nesting_is_bounded():
    value = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert decode(encode(value)) == value
    raises(DecodeError, decode, encode([value]))
    raises(DecodeError, decode, b"\0" * 1000)
    raises(DecodeError, decode, b"\xf0\0\0\xff\xf0\0\0\0\x01" * 200)


def test_error_tells_the_position():
    assert "at byte 3" in str(raises(DecodeError, decode, b"\xc0\x02\x01\x99"))


def test_out_of_range_values_are_errors():
    for kind, value in (
        ("ubyte", 256),
        ("ubyte", -1),
        ("byte", 128),
        ("uint", 2**32),
        ("int", -(2**31) - 1),
        ("ulong", 2**64),
        ("symbol", "é"),
        ("uuid", b"short"),
    ):
        raises(ValueError, encode, Typed(kind, value))
    raises(ValueError, encode, 2**63)
    raises(TypeError, encode, object())
