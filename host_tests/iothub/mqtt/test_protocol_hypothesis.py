"""iothub.mqtt.protocol against a model of a hub: drawn sequences of events and cuts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from iothub.errors import ProtocolError
from iothub.mqtt.protocol import Session
from tools.hub.mqtt import packets as server


class Listener:
    def __init__(self):
        self.done = []
        self.messages = []

    def puback(self, delivery):
        self.done.append(delivery.payload)

    def message(self, topic, payload, receipt):
        self.messages.append((topic, payload, receipt))

    def __getattr__(self, name):
        return lambda *arguments: None


class Model:
    """A model of a hub: the messages that it got, in order, and the PUBACKs that it owes."""

    def __init__(self):
        self.bodies = []
        self.owed = []
        self.decoder = server.Decoder(1 << 20)

    def take(self, data):
        for packet in self.decoder.feed(bytes(data)):
            if isinstance(packet, server.Publish):
                assert packet.qos == 1
                assert packet.packet_id not in self.owed
                assert packet.dup == (packet.body in self.bodies)
                self.owed.append(packet.packet_id)
                if packet.body not in self.bodies:
                    self.bodies.append(packet.body)


STEPS = st.lists(
    st.sampled_from(["publish", "pump", "ack", "ack last", "reconnect", "stray"]), max_size=60
)


@settings(deadline=None)
@given(STEPS, st.integers(1, 5), st.sampled_from([0, 65530, 65534]))
def test_all_messages_arrive_in_order_at_least_once(steps, window, pid):
    listener, model = Listener(), Model()
    session = Session(listener, "d", "u", window=window)
    session.pid = pid
    published = []

    def reconnect():
        model.owed, model.decoder = [], server.Decoder(1 << 20)
        session.connect()
        session.feed(server.connack(0, True))

    def acknowledge(index):
        if model.owed:
            session.feed(server.puback(model.owed.pop(index)))

    reconnect()
    for step in [*steps, "reconnect"] + ["pump", "ack"] * 70:
        if step == "publish":
            published.append(b"%d" % len(published))
            session.publish(b"t", published[-1], qos=1)
        elif step == "pump":
            session.pump()
            model.take(session.take())
            assert len(model.owed) <= window
        elif step == "reconnect":
            reconnect()
        elif step == "stray":
            session.feed(server.puback(60000))
        else:
            acknowledge(0 if step == "ack" else -1)
    assert model.bodies == published
    assert sorted(listener.done, key=int) == published
    assert session.unacknowledged == 0


PACKETS = st.lists(
    st.one_of(
        st.builds(
            server.publish,
            st.text(st.characters(codec="utf-8", exclude_characters="\0#+"), min_size=1),
            st.binary(max_size=300),
            st.sampled_from([0, 1]),
            st.integers(1, 65535),
        ),
        st.just(server.PINGRESP),
        st.builds(server.puback, st.integers(1, 65535)),
        st.builds(server.suback, st.integers(1, 65535), st.just((1,))),
    ),
    max_size=12,
)


@given(PACKETS, st.lists(st.integers(1, 40), min_size=1))
def test_any_pieces_of_a_stream_have_the_same_effect(packets, cuts):
    whole, torn = Listener(), Listener()
    for listener, pieces in ((whole, [100000]), (torn, cuts)):
        session = Session(listener, "d", "u", max_inbound=1 << 16)
        session.connect()
        data, i = b"".join(packets), 0
        while data:
            size = pieces[i % len(pieces)]
            session.feed(data[:size])
            data, i = data[size:], i + 1
    assert torn.messages == whole.messages
    assert len(whole.messages) == sum(packet[0] >> 4 == 3 for packet in packets)


@given(st.lists(st.binary(max_size=40), max_size=10), st.integers(1, 60))
def test_hostile_bytes_are_protocol_errors_at_most(chunks, max_inbound):
    session = Session(Listener(), "d", "u", max_inbound=max_inbound)
    session.connect()
    try:
        for chunk in chunks:
            session.feed(chunk)
    except ProtocolError:
        pass


@given(st.sampled_from([0x20, 0x30, 0x32, 0x40, 0x90, 0xD0]), st.binary(max_size=30))
def test_invalid_packet_bodies_are_protocol_errors_at_most(first, body):
    session = Session(Listener(), "d", "u")
    session.connect()
    try:
        session.feed(bytes((first, len(body))) + body + server.PINGRESP)
    except ProtocolError:
        pass
