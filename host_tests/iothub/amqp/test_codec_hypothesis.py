"""AMQP's encodings: round trips, and comparison with other implementations."""

import uuid
from io import BytesIO

import pytest
from azure.eventhub._pyamqp import _decode as pyamqp_decode
from azure.eventhub._pyamqp import _encode as pyamqp_encode
from azure.eventhub._pyamqp.message import Message as PyamqpMessage
from azure.eventhub._pyamqp.message import Properties as PyamqpProperties
from hypothesis import given
from hypothesis import strategies as st

from host_tests.support.amqp_strategies import CHARACTERS, NUMBERS, UUIDS, arrays, integers, typed
from iothub.amqp.codec import DecodeError, Described, Typed, decode, encode
from iothub.amqp.composites import Composite, composite_of, schema
from iothub.amqp.frames import FrameDecoder, frame
from iothub.amqp.sections import AmqpMessage, decode_message

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=300)
symbols = st.text(st.characters(max_codepoint=127), max_size=300)
TYPED = {
    **NUMBERS,
    "char": CHARACTERS,
    "symbol": symbols,
    "uuid": UUIDS,
    "decimal32": st.binary(min_size=4, max_size=4),
    "decimal64": st.binary(min_size=8, max_size=8),
    "decimal128": st.binary(min_size=16, max_size=16),
}
plain = st.one_of(
    st.none(),
    st.booleans(),
    integers(64, True),
    st.floats(allow_nan=False),
    text,
    st.binary(max_size=300),
)
keys = st.one_of(text, integers(64, True), symbols.map(lambda s: Typed("symbol", s)))
values = st.recursive(
    st.one_of(
        plain,
        typed(TYPED),
        arrays({**TYPED, "string": text, "long": integers(64, True)}, max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(keys, inner, max_size=5),
        st.builds(Described, st.one_of(integers(64, False), symbols), inner),
    ),
    max_leaves=20,
)


@given(values)
def test_every_value_comes_back_exactly(value):
    assert decode(encode(value), exact=True) == value


@given(values, st.data())
def test_truncated_encoding_is_an_error(value, data):
    encoded = encode(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(DecodeError):
        decode(encoded[:cut])


@given(st.binary(max_size=200))
def test_any_bytes_decode_to_a_value_or_an_error(data):
    for parse in (decode, decode_message):
        try:
            parse(data)
        except DecodeError:
            pass


@given(st.binary(max_size=100), st.integers(0x10, 0x18))
def test_any_frame_decodes_to_a_performative_or_an_error(data, code):
    decoder = FrameDecoder(1000)
    body = bytes((0, 0x53, code)) + data
    decoder.feed((len(body) + 8).to_bytes(4, "big") + b"\2\0\0\0" + body)
    try:
        _, _, composite, payload = decoder.take()
    except DecodeError:
        return
    assert decode_again(composite, payload)


def decode_again(composite, payload):
    """Whether a performative is the same after it is encoded and decoded once more."""
    decoder = FrameDecoder(1 << 20)
    decoder.feed(frame(0, composite, payload))
    _, _, again, rest = decoder.take()
    return again.descriptor == composite.descriptor and rest == payload


# -- azure-eventhub's encodings -----------------------------------------------------------------


def by_pyamqp(value):
    """A value in the form that azure-eventhub's encoder takes."""
    if isinstance(value, Typed):
        if value.kind == "array":
            kind, items = value.value
            return {"TYPE": "ARRAY", "VALUE": [by_pyamqp(Typed(kind, item)) for item in items]}
        inner = value.value
        if value.kind == "uuid":
            inner = uuid.UUID(bytes=inner)
        return {"TYPE": value.kind.upper(), "VALUE": inner}
    if isinstance(value, list):
        return {"TYPE": "LIST", "VALUE": [by_pyamqp(item) for item in value]}
    if isinstance(value, dict):
        pairs = [(by_pyamqp(key), by_pyamqp(item)) for key, item in value.items()]
        return {"TYPE": "MAP", "VALUE": pairs}
    kinds = {bool: "BOOL", int: "LONG", str: "STRING", bytes: "BINARY", float: "DOUBLE"}
    return {"TYPE": kinds[type(value)], "VALUE": value} if value is not None else None


PYAMQP_KINDS = ("ubyte", "ushort", "uint", "ulong", "byte", "short", "int", "timestamp", "uuid")
pyamqp_plain = st.one_of(
    st.booleans(), integers(64, True), text, st.binary(max_size=300), st.floats(allow_nan=False)
)
pyamqp_values = st.recursive(
    st.one_of(
        pyamqp_plain,
        typed({kind: TYPED[kind] for kind in PYAMQP_KINDS}),
        symbols.map(lambda s: Typed("symbol", s)),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(text, inner, max_size=5)),
    max_leaves=10,
)


@given(pyamqp_values)
def test_encodings_of_azure_eventhub_are_decoded(value):
    encoded = bytearray()
    pyamqp_encode.encode_value(encoded, by_pyamqp(value))
    assert decode(bytes(encoded), exact=True) == value


def as_pyamqp_decodes(value):
    if isinstance(value, Typed):
        value = value.value if value.kind != "uuid" else uuid.UUID(bytes=value.value)
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, list):
        return [as_pyamqp_decodes(item) for item in value]
    if isinstance(value, dict):
        return {as_pyamqp_decodes(k): as_pyamqp_decodes(v) for k, v in value.items()}
    return value


@given(pyamqp_values)
def test_azure_eventhub_decodes_the_encodings(value):
    encoded = memoryview(encode(value))
    decoder = pyamqp_decode._DECODE_BY_CONSTRUCTOR[encoded[0]]
    rest, found = decoder(encoded[1:])
    assert not len(rest)
    assert found == as_pyamqp_decodes(value)


@given(text, st.binary(max_size=400), st.dictionaries(text, text, max_size=4))
def test_messages_are_exchanged_with_azure_eventhub(message_id, body, application):
    message = AmqpMessage(body, message_id=message_id)
    message.application = application
    found = pyamqp_decode.decode_payload(memoryview(message.encode()))
    assert b"".join(found.data) == body
    assert found.properties.message_id == message_id.encode()
    assert (found.application_properties or {}) == {
        key.encode(): value.encode() for key, value in application.items()
    }
    theirs = PyamqpMessage(
        data=[body],
        properties=PyamqpProperties(message_id=message_id),
        application_properties=application or None,
    )
    encoded = bytearray()
    pyamqp_encode.encode_payload(encoded, theirs)
    back = decode_message(bytes(encoded))
    assert back.body == body
    assert back.properties.message_id == message_id
    assert back.application == application


# -- uamqp's encodings --------------------------------------------------------------------------

scalars = st.one_of(st.booleans(), st.integers(-(2**31), 2**31 - 1), st.text(max_size=50))


@given(st.binary(min_size=1, max_size=400), st.dictionaries(st.text(min_size=1), scalars))
def test_messages_are_exchanged_with_uamqp(body, application):
    uamqp = pytest.importorskip("uamqp", reason="uamqp has no wheel for this Python")
    application = {
        key: value for key, value in application.items() if "\0" not in key + str(value)
    }
    theirs = uamqp.Message(body, application_properties=application or None)
    back = decode_message(theirs.encode_message())
    assert back.body == body
    assert back.application == application
    message = AmqpMessage(body, message_id="m")
    message.application = {
        k: Typed("int", v) if type(v) is int else v for k, v in application.items()
    }
    found = uamqp.Message.decode_from_bytes(message.encode())
    assert b"".join(found.get_data()) == body
    assert found.properties.message_id == b"m"
    assert (found.application_properties or {}) == {
        key.encode(): value.encode() if isinstance(value, str) else value
        for key, value in application.items()
    }


def test_every_composite_is_decoded_as_it_was_encoded():
    """azure-eventhub's decoder reads each field by its position, and does not accept a list0."""
    for code in (*range(0x10, 0x19), 0x1D, *range(0x23, 0x2A), *range(0x40, 0x45), 0x70, 0x73):
        encoded = bytes(frame(0, Composite(code)))[8:]
        stream = BytesIO(encoded[3:])
        assert stream.read(1) == b"\xc0"
        size, count = stream.read(2)
        fields = len(schema(code)[0])
        assert (size, count) == (fields + 1, fields)
    assert composite_of(Described(0x24, [])).descriptor == 0x24
