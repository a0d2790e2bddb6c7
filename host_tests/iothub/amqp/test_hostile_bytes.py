"""Hostile bytes over AMQP: only documented errors, and a bounded heap."""

from host_tests.support.hostile_amqp import FRAMES, LIMIT, MESSAGES, OPENED, attach
from host_tests.support.mutation import cases, mutated, pieces
from iothub.amqp.codec import DecodeError, Described, Typed, decode, encode
from iothub.amqp.composites import DISPOSITION
from iothub.amqp.convert import message_from
from iothub.amqp.frames import FrameDecoder
from iothub.amqp.protocol import AMQPProtocol
from iothub.amqp.sections import decode_message
from iothub.errors import ConnectionDroppedError, ProtocolError, RefusedError
from iothub.pending import Delivery

VALUES = [
    encode(value)
    for value in (
        None,
        True,
        7,
        1 << 40,
        -2.5,
        "grüß",
        b"\x00\xff" * 40,
        [1, ["a", {"b": None}]],
        {"k": [1, 2], "l": {"m": b"x"}},
        Typed("array", ("symbol", ["a", "b"])),
        Typed("array", ("null", [None] * 200)),
        Typed("uuid", b"0123456789abcdef"),
        Typed("char", "漢"),
        Described(0x77, [1, 2]),
        Described("amqp:x:list", {}),
    )
]
VALUES.append(b"\xc0\x7f\x01" * 40)  # nested deeply
EMPTY = b"\xe0\x02\xff\x45"  # an array of 255 empty lists, in four bytes


def test_hostile_values_are_decode_errors_at_most():
    understood = 0
    for chance in cases(800):
        data = bytes(mutated(chance, VALUES, 1))
        try:
            decode(data, exact=chance.below(2))
            understood += 1
        except DecodeError:
            pass
    assert understood > 50


def test_many_empty_values_in_a_few_bytes_are_refused():
    """Each of these would take hundreds of times its bytes of heap."""
    size = 4 * 900
    bomb = b"\xd0" + (size + 4).to_bytes(4, "big") + (900).to_bytes(4, "big") + EMPTY * 900
    try:
        decode(bomb)
    except DecodeError:
        return
    raise AssertionError("230,000 lists")


def test_hostile_messages_are_decode_errors_at_most():
    understood = 0
    for chance in cases(500):
        data = bytes(mutated(chance, MESSAGES, 2))
        try:
            message_from(decode_message(data, exact=chance.below(2)))
            understood += 1
        except DecodeError:
            pass
    assert understood > 50


class Owner:
    """Settles what it receives, as the transport does, and notes it."""

    def __init__(self):
        self.received_numbers = []

    def on_message(self, receiver, number, payload):
        assert len(payload) <= LIMIT
        try:
            decode_message(payload)
            receiver.settle(number)
        except DecodeError:
            receiver.settle(number, 0x25)
        receiver.grant()
        if number is not None:
            self.received_numbers.append(number)

    def on_oversized(self, receiver, number, size, head):
        assert size > LIMIT
        assert len(head) <= 1024 + LIMIT
        receiver.grant()

    def nothing(self, *arguments):
        pass

    on_settled = on_detached = nothing


def dispositions(data):
    decoder = FrameDecoder(1 << 20)
    decoder.feed(data)
    numbers = []
    while True:
        while decoder.at_header():
            decoder.take_header()
        taken = decoder.take()
        if taken is None:
            return numbers
        if taken[2] is not None and taken[2].descriptor == DISPOSITION:
            numbers.append(taken[2].first)


def made():
    return AMQPProtocol("d", "h", 60000, 4096, LIMIT)


def spoken(chance, mechanism):
    """A protocol that has met hostile frames: its owner, and what it said."""
    owner, protocol = Owner(), made()
    protocol.start(mechanism, b"")
    if not mechanism:
        protocol.feed(OPENED)
        protocol.sender(owner, "out").send(Delivery(b"head", b"body"))
        protocol.receiver(owner, "in")
        if chance.below(4):
            protocol.feed(FRAMES[1] + FRAMES[2])
    said = bytearray(protocol.take())
    try:
        for piece in pieces(chance, mutated(chance, FRAMES, 8)):
            protocol.feed(piece)
            protocol.pump()
            said.extend(protocol.take())
    except (ConnectionDroppedError, RefusedError):  # ProtocolError, or the hub's own error
        pass
    said.extend(protocol.take())
    return owner, said


def test_hostile_frames_are_protocol_errors_at_most():
    received = 0
    for chance in cases(400):
        owner, said = spoken(chance, None)
        assert dispositions(said) == owner.received_numbers
        received += len(owner.received_numbers)
    assert received > 10


def test_number_of_handles_is_bounded():
    protocol = made()
    protocol.start()
    protocol.feed(OPENED)
    protocol.sender(Owner(), "out")
    try:
        for handle in range(1000):
            protocol.feed(attach("0out", handle, True))
    except ProtocolError:
        return
    raise AssertionError("a thousand handles")


def test_hostile_sasl_frames_are_protocol_errors_at_most():
    for chance in cases(300):
        spoken(chance, chance.one(("PLAIN", "ANONYMOUS", "EXTERNAL")))
