"""iothub.mqtt.protocol against a model of a hub: drawn sequences of events and cuts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from iothub.errors import ConnectionDroppedError, ProtocolError
from iothub.mqtt.protocol import MQTTProtocol
from iothub.pending import Pending
from tools.hub.mqtt import packets as server


class Events:
    def __init__(self):
        self.messages = []

    def on_publish(self, topic, payload, receipt):
        self.messages.append((topic, payload, receipt[1]))

    def on_oversized(self, topic, size):
        pass

    def on_no_room(self, first):
        raise AssertionError


def made(events=None, window=16, **options):
    """A protocol that has written CONNECT, which is taken."""
    pending = Pending(120000, window, "puback")
    protocol = MQTTProtocol(events or Events(), pending, "d", "u", **options)
    protocol.connect()
    protocol.take()
    return protocol


class Model:
    """A model of a hub: the messages that it got, in order, and the PUBACKs that it owes."""

    def __init__(self):
        self.bodies = []
        self.ids = {}  # body: packet id, of what is not acknowledged
        self.owed = []  # the same of this connection, in order: bodies
        self.decoder = server.Decoder(1 << 20)

    def take(self, data):
        for packet in self.decoder.feed(bytes(data)):
            if isinstance(packet, server.Publish):
                assert packet.qos == 1
                assert packet.body not in self.owed
                assert packet.dup == (packet.body in self.bodies)
                if packet.dup:
                    assert self.ids[packet.body] == packet.packet_id
                else:
                    assert packet.packet_id not in self.ids.values()
                    self.bodies.append(packet.body)
                    self.ids[packet.body] = packet.packet_id
                self.owed.append(packet.body)

    def lost(self):
        """The connection is gone."""
        self.owed, self.decoder = [], server.Decoder(1 << 20)

    def acknowledge(self, index):
        """The PUBACK of a message."""
        return server.puback(self.ids.pop(self.owed.pop(index)))


STEPS = st.lists(
    st.sampled_from(["publish", "pump", "ack", "ack last", "reconnect", "stray", "subscribe"]),
    max_size=60,
)


@settings(deadline=None)
@given(
    STEPS,
    st.integers(1, 5),
    st.lists(st.sampled_from([0, 1, 3, 65530, 65534]), min_size=1, max_size=5),
)
def test_all_messages_arrive_in_order_at_least_once(steps, window, pids):
    model, pending = Model(), Pending(120000, window, "puback")
    protocol, published, connections = None, [], 0

    def reconnect():
        nonlocal protocol, connections
        model.lost()
        if protocol is not None:
            protocol.fail(ConnectionDroppedError("gone", "read"))
        protocol = MQTTProtocol(Events(), pending, "d", "u")
        protocol.pid = pids[connections % len(pids)]  # wherever its packet ids are
        connections += 1
        protocol.connect()
        protocol.feed(server.connack(0, True))

    reconnect()
    for step in [*steps, "reconnect"] + ["pump", "ack"] * 70:
        if step == "publish":
            published.append(pending.add(b"t", b"%d" % len(published), 0))
        elif step == "pump":
            protocol.pump()
            model.take(protocol.take())
            assert len(model.owed) <= window
        elif step == "reconnect":
            reconnect()
        elif step == "subscribe":
            protocol.subscribe("s", 0)
        elif step == "stray":
            protocol.feed(server.puback(60000))
        elif model.owed:
            protocol.feed(model.acknowledge(0 if step == "ack" else -1))
    assert model.bodies == [delivery.body for delivery in published]
    assert all(delivery.done() and delivery.error is None for delivery in published)
    assert len(pending) == 0


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
    whole, torn = Events(), Events()
    for events, pieces in ((whole, [100000]), (torn, cuts)):
        protocol = made(events, max_inbound=1 << 16)
        data, i = b"".join(packets), 0
        while data:
            size = pieces[i % len(pieces)]
            protocol.feed(data[:size])
            data, i = data[size:], i + 1
    assert torn.messages == whole.messages
    assert len(whole.messages) == sum(packet[0] >> 4 == 3 for packet in packets)


@given(st.lists(st.binary(max_size=40), max_size=10), st.integers(1, 60))
def test_hostile_bytes_are_protocol_errors_at_most(chunks, max_inbound):
    protocol = made(max_inbound=max_inbound)
    try:
        for chunk in chunks:
            protocol.feed(chunk)
    except ProtocolError:
        pass


@given(st.sampled_from([0x20, 0x30, 0x32, 0x40, 0x90, 0xD0]), st.binary(max_size=30))
def test_invalid_packet_bodies_are_protocol_errors_at_most(first, body):
    protocol = made()
    try:
        protocol.feed(bytes((first, len(body))) + body + server.PINGRESP)
    except ProtocolError:
        pass
