"""iothub.amqp.protocol: any bytes in any pieces, and drawn sequences of sends and outcomes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from iothub.amqp.composites import (
    ACCEPTED,
    ATTACH,
    BEGIN,
    CLOSE,
    DETACH,
    DISPOSITION,
    FLOW,
    OPEN,
    RELEASED,
    TRANSFER,
    Composite,
)
from iothub.amqp.frames import AMQP_HEADER, FrameDecoder, frame
from iothub.amqp.protocol import AMQPProtocol
from iothub.amqp.sections import AmqpMessage, decode_message
from iothub.errors import ConnectionDroppedError
from iothub.pending import Delivery, Pending

MAX_INBOUND = 3000


class Owner:
    """Keeps what the protocol tells."""

    def __init__(self):
        self.told = []

    def on_message(self, receiver, number, payload):
        self.told.append(("message", number, bytes(payload)))

    def on_oversized(self, receiver, number, size, head):
        self.told.append(("oversized", number, size))

    def on_settled(self, delivery, state):
        self.told.append(("settled", bytes(delivery.body)))

    def on_detached(self, link, error):
        self.told.append(("detached", link.address))


def opened(owner, pending=None):
    """(a protocol, its Sender), with a receiver too, as its peer has answered so far."""
    protocol = AMQPProtocol("me", "hub", 1000, 4096, MAX_INBOUND)
    protocol.start()
    sender = protocol.sender(owner, "out", None, pending)
    receiver = protocol.receiver(owner, "in")
    begin = Composite(BEGIN, next_outgoing_id=0, incoming_window=5, outgoing_window=5)
    protocol.feed(
        AMQP_HEADER
        + bytes(frame(0, Composite(OPEN, container_id="hub", max_frame_size=512)))
        + bytes(frame(0, begin))
    )
    for link in (sender, receiver):
        protocol.feed(
            frame(
                0,
                Composite(
                    ATTACH, name=f"{link.handle}{link.address}", handle=link.handle,
                    role=not link.role, source=Composite(0x28), target=Composite(0x29),
                    initial_delivery_count=0,
                ),
            )
        )  # fmt: skip
    assert sender.opened.done() and receiver.opened.done() and protocol.accepted.done()
    protocol.take()
    return protocol, sender


frames = st.sampled_from(
    [
        bytes(frame(0, composite, payload))
        for composite, payload in (
            (Composite(TRANSFER, handle=1, delivery_id=0, more=True), b"x" * 2000),
            (Composite(TRANSFER, handle=1, delivery_id=1), AmqpMessage(b"body").encode()),
            (Composite(TRANSFER, handle=1, aborted=True), b""),
            (Composite(TRANSFER, handle=0, delivery_id=1), b""),
            (Composite(FLOW, handle=0, link_credit=3, delivery_count=0, incoming_window=9,
                       next_incoming_id=0, next_outgoing_id=0, outgoing_window=9), b""),
            (Composite(DISPOSITION, role=True, first=0, last=2**32 - 1, settled=True), b""),
            (Composite(DETACH, handle=1, closed=True), b""),
            (Composite(CLOSE), b""),
        )
    ]
)  # fmt: skip


def hear(pieces):
    owner = Owner()
    protocol, _ = opened(owner)
    try:
        for piece in pieces:
            protocol.feed(piece)
            protocol.pump()
            protocol.take()
    except ConnectionDroppedError:  # ProtocolError, or the peer has closed
        owner.told.append("error")
    return owner.told


@settings(max_examples=300)
@given(st.lists(st.one_of(frames, st.binary(max_size=30)), max_size=6), st.data())
def test_any_bytes_have_the_same_effect_in_any_pieces(parts, data):
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    bounds = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]
    assert hear(pieces) == hear([stream])


class Peer:
    """The hub's end: it receives messages, and grants credit, window and outcomes on command."""

    def __init__(self):
        self.decoder = FrameDecoder(1 << 20)
        self.parts = b""
        self.bodies = []
        self.unsettled = []
        self.frames = 0
        self.first = None

    def take(self, data):
        self.decoder.feed(data)
        while (taken := self.decoder.take()) is not None:
            _, _, performative, payload = taken
            if performative is None or performative.descriptor != TRANSFER:
                continue
            self.frames += 1
            self.first = self.first or performative
            self.parts += payload
            if not performative.more:
                self.bodies.append(decode_message(self.parts).body)
                self.unsettled.append(self.first.delivery_id)
                self.parts, self.first = b"", None


def settled(number, outcome=ACCEPTED):
    """A disposition."""
    state = Composite(outcome)
    return frame(0, Composite(DISPOSITION, role=True, first=number, settled=True, state=state))


def flow(peer, credit, room):
    """A flow that grants credit and room, as `peer` has taken so far."""
    return frame(
        0,
        Composite(
            FLOW, handle=0, link_credit=credit, delivery_count=len(peer.bodies),
            next_incoming_id=peer.frames, incoming_window=room, next_outgoing_id=0,
            outgoing_window=9,
        ),
    )  # fmt: skip


def pumped(protocol, peer):
    while protocol.pump():
        peer.take(protocol.take())


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.integers(0, 2500)),
            st.tuples(st.just("credit"), st.integers(0, 4)),
            st.tuples(st.just("window"), st.integers(0, 6)),
            st.tuples(st.just("settle"), st.integers(1, 3)),
        ),
        max_size=40,
    )
)
def test_messages_are_sent_once_in_order_within_credit_and_window(steps):
    owner = Owner()
    protocol, sender = opened(owner)
    peer, sent, credit, room = Peer(), [], 0, 5
    for step, amount in [*steps, ("window", 10000), ("credit", 100), ("settle", 1000)]:
        if step == "send":
            body = bytes((len(sent),)) + b"x" * amount
            sent.append(body)
            sender.send(Delivery(*AmqpMessage(body).parts_to_send()))
        elif step == "settle":
            count = min(amount, len(peer.unsettled))
            for number in peer.unsettled[:count]:
                protocol.feed(settled(number))
            peer.unsettled = peer.unsettled[count:]
        else:
            credit, room = (amount, room) if step == "credit" else (credit, amount)
            protocol.feed(flow(peer, credit, room))
        before, begun = len(peer.bodies), peer.frames
        pumped(protocol, peer)
        if step in ("credit", "window"):
            assert peer.frames - begun <= room
            assert len(peer.bodies) - before <= credit + 1
    assert peer.bodies == sent
    assert [told[1] for told in owner.told if told[0] == "settled"] == sent
    assert not sender.unsettled


def test_message_can_be_withdrawn_only_before_its_first_frame():
    pending = Pending(120000, 16, "disposition")
    protocol, sender = opened(Owner(), pending)
    long, short = (
        pending.add(*AmqpMessage(body).parts_to_send(), 0) for body in (b"x" * 2000, b"y")
    )
    peer = Peer()
    protocol.feed(flow(peer, 5, 1))
    protocol.pump()
    peer.take(protocol.take())
    pending.remove(long)
    pending.remove(short)
    protocol.feed(flow(peer, 5, 100))
    protocol.pump()
    peer.take(protocol.take())
    assert peer.bodies == [b"x" * 2000]


class Transport(Owner):
    """Settles what it has sent with a Pending, as the transport does."""

    def __init__(self, pending):
        super().__init__()
        self._pending = pending

    def on_settled(self, delivery, state):
        if state.descriptor == ACCEPTED:
            self._pending.settle(delivery)
        else:
            self._pending.send_again(delivery)


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.integers(0, 1500)),
            st.tuples(st.just("credit"), st.integers(0, 4)),
            st.tuples(st.just("settle"), st.integers(1, 3)),
            st.tuples(st.just("release"), st.integers(1, 2)),
            st.tuples(st.just("reconnect"), st.booleans()),
        ),
        max_size=40,
    ),
    st.integers(1, 4),
)
def test_telemetry_is_sent_until_it_is_accepted_over_any_connections(steps, window):
    pending = Pending(120000, window, "disposition")
    protocol, peer, sent, accepted = None, None, [], []

    def reconnect(detached=False):
        nonlocal protocol, peer
        if protocol is not None:
            if detached:  # the hub ends the link, and for that the transport the connection
                protocol.feed(frame(0, Composite(DETACH, handle=0, closed=True)))
            protocol.fail(ConnectionDroppedError("gone", "read"))
        protocol, _ = opened(Transport(pending), pending)
        peer = Peer()

    reconnect()
    steps = [*steps, *[("credit", 100), ("settle", 1000)] * 41]
    for step, amount in steps:
        if step == "send":
            body = b"%d:" % len(sent) + b"x" * amount
            sent.append(pending.add(*AmqpMessage(body).parts_to_send(), 0))
        elif step == "reconnect":
            reconnect(amount)
        elif step == "credit":
            protocol.feed(flow(peer, amount, 10000))
        else:
            for _ in range(min(amount, len(peer.unsettled))):
                index = len(peer.bodies) - len(peer.unsettled)
                number = peer.unsettled.pop(0)
                if step == "settle":
                    accepted.append(peer.bodies[index])
                protocol.feed(settled(number, ACCEPTED if step == "settle" else RELEASED))
        pumped(protocol, peer)
        assert len(peer.unsettled) <= window
    assert sorted(accepted) == sorted(delivery_body(one) for one in sent)
    assert all(one.done() and one.error is None for one in sent)
    assert len(pending) == 0


def delivery_body(delivery):
    return decode_message(bytes(delivery.head) + bytes(delivery.body)).body
