"""iothub.amqp.protocol: any bytes in any pieces, and drawn sequences of sends, credit and
outcomes.
"""

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
    TRANSFER,
    Composite,
)
from iothub.amqp.frames import AMQP_HEADER, FrameDecoder, frame
from iothub.amqp.links import Delivery
from iothub.amqp.protocol import Session
from iothub.amqp.sections import AmqpMessage, decode_message
from iothub.errors import ProtocolError

MAX_INBOUND = 3000


class Owner:
    """Records the session's calls."""

    def __init__(self):
        self.told = []

    def received(self, receiver, number, payload):
        self.told.append(("received", number, bytes(payload)))

    def oversized(self, receiver, number, size, head):
        self.told.append(("oversized", number, size))

    def settled(self, delivery, state):
        self.told.append(("settled", bytes(delivery.body)))

    def __getattr__(self, name):
        return lambda *arguments: self.told.append((name,))


def opened(owner):
    """(session, its sender), once the peer has answered open, begin and both attaches."""
    session = Session(owner, "me", "hub", 1000, 4096, MAX_INBOUND)
    session.start()
    sender, receiver = session.sender("out"), session.receiver("in")
    begin = Composite(BEGIN, next_outgoing_id=0, incoming_window=5, outgoing_window=5)
    session.feed(
        AMQP_HEADER
        + bytes(frame(0, Composite(OPEN, container_id="hub", max_frame_size=512)))
        + bytes(frame(0, begin))
    )
    for link in (sender, receiver):
        session.feed(
            frame(
                0,
                Composite(
                    ATTACH, name=f"{link.handle}{link.address}", handle=link.handle,
                    role=not link.role, source=Composite(0x28), target=Composite(0x29),
                    initial_delivery_count=0,
                ),
            )
        )  # fmt: skip
    session.take()
    return session, sender


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
    session, _ = opened(owner)
    try:
        for piece in pieces:
            session.feed(piece)
            session.pump()
            session.take()
    except ProtocolError:
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
    session, sender = opened(owner)
    peer, sent, credit, room = Peer(), [], 0, 5
    for step, amount in [*steps, ("window", 10000), ("credit", 100), ("settle", 1000)]:
        if step == "send":
            body = bytes((len(sent),)) + b"x" * amount
            sent.append(body)
            sender.send(Delivery(*AmqpMessage(body).parts_to_send()))
        elif step == "settle":
            count = min(amount, len(peer.unsettled))
            for number in peer.unsettled[:count]:
                state = Composite(ACCEPTED)
                session.feed(
                    frame(
                        0,
                        Composite(DISPOSITION, role=True, first=number, settled=True, state=state),
                    )
                )
            peer.unsettled = peer.unsettled[count:]
        else:
            credit, room = (amount, room) if step == "credit" else (credit, amount)
            flow = Composite(
                FLOW, handle=0, link_credit=credit, delivery_count=len(peer.bodies),
                next_incoming_id=peer.frames, incoming_window=room, next_outgoing_id=0,
                outgoing_window=9,
            )  # fmt: skip
            session.feed(frame(0, flow))
        before, begun = len(peer.bodies), peer.frames
        while session.pump():
            peer.take(session.take())
        if step in ("credit", "window"):
            assert peer.frames - begun <= room
            assert len(peer.bodies) - before <= credit + 1
    assert peer.bodies == sent
    assert [told[1] for told in owner.told if told[0] == "settled"] == sent
    assert not sender.unsettled


def test_message_can_be_withdrawn_only_before_its_first_frame():
    session, sender = opened(Owner())
    long, short = (Delivery(*AmqpMessage(body).parts_to_send()) for body in (b"x" * 2000, b"y"))
    for delivery in (long, short):
        sender.send(delivery)
    flow = Composite(
        FLOW, handle=0, link_credit=5, delivery_count=0, next_incoming_id=0, incoming_window=1,
        next_outgoing_id=0, outgoing_window=9,
    )  # fmt: skip
    session.feed(frame(0, flow))
    peer = Peer()
    session.pump()
    peer.take(session.take())
    sender.withdraw(long)
    sender.withdraw(short)
    flow.next_incoming_id, flow.incoming_window = peer.frames, 100
    session.feed(frame(0, flow))
    session.pump()
    peer.take(session.take())
    assert peer.bodies == [b"x" * 2000]
