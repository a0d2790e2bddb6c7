"""iothub.mqtt.protocol, byte for byte: CONNECT, the QoS 1 window, acknowledgements, errors."""

from host_tests.support.raises import raises
from iothub.errors import (
    ConnectionDroppedError,
    ConnectionFailedError,
    CredentialError,
    OperationTimeout,
    ProtocolError,
    ServiceError,
)
from iothub.mqtt.protocol import MQTTProtocol
from iothub.pending import Pending

LIMIT = 120000


class Events:
    """Keeps what a protocol says; `receipt`: the last one."""

    def __init__(self):
        self.calls = []

    def on_publish(self, topic, payload, receipt):
        self.calls.append(("message", bytes(topic), bytes(payload)))
        self.receipt = receipt

    def on_oversized(self, topic, size):
        self.calls.append(("oversized", topic, size))

    def on_no_room(self, first):
        self.calls.append(("no room",))


def waiting(window=16):
    return Pending(LIMIT, window, "puback")


def begun(pending=None, **options):
    """(protocol, Events, Pending) after CONNECT and CONNACK, with nothing left to send but what
    the Pending has.
    """
    events, pending = Events(), pending if pending is not None else waiting()
    protocol = MQTTProtocol(events, pending, "d", "u", **options)
    protocol.connect()
    protocol.take()
    protocol.feed(b"\x20\x02\x00\x00")
    return protocol, events, pending


def again(protocol, pending, **options):
    """The next connection's protocol, and its Events."""
    protocol.fail(ConnectionDroppedError("gone", "read"))
    return begun(pending, **options)[:2]


def sent(protocol):
    protocol.pump()
    return bytes(protocol.take())


def puback(pid):
    return bytes((0x40, 2, pid >> 8, pid & 255))


def done(*deliveries):
    return [delivery.done() for delivery in deliveries]


# -- CONNECT ------------------------------------------------------------------------------------


def test_connect_with_a_password():
    protocol = MQTTProtocol(Events(), waiting(), "d", "u", keep_alive=60)
    protocol.connect("pw")
    assert sent(protocol) == b"\x10\x14\x00\x04MQTT\x04\xc0\x00\x3c\x00\x01d\x00\x01u\x00\x02pw"


def test_connect_without_a_password_has_no_password_flag():
    protocol = MQTTProtocol(Events(), waiting(), "d", "u", keep_alive=1177)
    protocol.connect()
    assert sent(protocol) == b"\x10\x10\x00\x04MQTT\x04\x80\x04\x99\x00\x01d\x00\x01u"


def test_connect_with_a_will_and_a_clean_session():
    protocol = MQTTProtocol(Events(), waiting(), "d", "u", keep_alive=60)
    protocol.set_last_will(b"t", b"gone", qos=1)
    protocol.connect(clean_session=True)
    assert sent(protocol) == (
        b"\x10\x19\x00\x04MQTT\x04\x8e\x00\x3c\x00\x01d\x00\x01t\x00\x04gone\x00\x01u"
    )


def test_lengths_are_counted_in_bytes():
    protocol = MQTTProtocol(Events(), waiting(), "é", "漢", keep_alive=60)
    protocol.connect()
    assert sent(protocol).endswith("\x00\x02é\x00\x03漢".encode())


def test_connack_codes_and_session_present():
    kinds = {
        1: ServiceError,
        2: CredentialError,
        3: ConnectionFailedError,
        4: CredentialError,
        5: CredentialError,
    }
    for code in range(6):
        for session_present in (0, 1):
            protocol = MQTTProtocol(Events(), waiting(), "d", "u")
            protocol.connect()
            assert not protocol.accepted.done()
            protocol.feed(bytes((0x20, 2, session_present, code)))
            assert protocol.accepted.done()
            if code:
                error = protocol.accepted.error
                assert type(error) is kinds[code]
                assert error.stage == "connack"
                assert getattr(error, "code", code) == code
            else:
                assert protocol.accepted.error is None
                assert protocol.accepted.value is bool(session_present)


def test_a_second_connack_is_an_error():
    protocol, _, _ = begun()
    error = raises(ProtocolError, protocol.feed, b"\x20\x02\x00\x00")
    assert error.stage == "connack"


# -- sending ------------------------------------------------------------------------------------


def test_qos_0_publish_is_written_at_once():
    protocol, _, pending = begun()
    assert protocol.publish("é".encode(), "漢".encode()) is None
    assert sent(protocol) == b"\x30\x07\x00\x02" + "é漢".encode()
    assert len(pending) == 0


def test_telemetry_waits_for_its_puback():
    protocol, events, pending = begun()
    delivery = pending.add(b"t", b"x", 0)
    assert len(pending) == 1
    assert sent(protocol) == b"\x32\x06\x00\x01t\x00\x01x"
    assert not delivery.done()
    protocol.feed(puback(1))
    assert delivery.done()
    assert delivery.error is None
    assert len(pending) == 0
    assert events.calls == []


def test_window_is_never_exceeded_and_is_refilled_in_order():
    protocol, _, pending = begun(waiting(2))
    deliveries = [pending.add(b"t", body, 0) for body in (b"a", b"b", b"c", b"d")]
    assert sent(protocol) == b"\x32\x06\x00\x01t\x00\x01a\x32\x06\x00\x01t\x00\x02b"
    assert sent(protocol) == b""
    protocol.feed(puback(2))
    assert done(*deliveries) == [False, True, False, False]
    assert sent(protocol) == b"\x32\x06\x00\x01t\x00\x03c"
    protocol.feed(puback(1) + puback(3))
    assert sent(protocol) == b"\x32\x06\x00\x01t\x00\x04d"
    assert done(*deliveries) == [True, True, True, False]


def test_packet_ids_wrap_and_skip_those_in_flight():
    protocol, _, pending = begun(waiting(3))
    protocol.pid = 65533
    stays = pending.add(b"t", b"stays", 0)
    assert sent(protocol) == b"\x32\x0a\x00\x01t\xff\xfestays"
    pending.add(b"t", b"last", 0)
    pending.add(b"t", b"first", 0)
    assert sent(protocol) == b"\x32\x09\x00\x01t\xff\xfflast\x32\x0a\x00\x01t\x00\x01first"
    protocol.feed(puback(65535) + puback(1))
    protocol.pid = 65533
    pending.add(b"t", b"next", 0)
    assert sent(protocol) == b"\x32\x09\x00\x01t\xff\xffnext"
    assert not stays.done()
    protocol.feed(puback(65534))
    assert stays.done()


def test_packet_ids_pass_over_those_of_subscriptions():
    protocol, _, pending = begun()
    first = protocol.subscribe("a", 1)
    assert sent(protocol) == b"\x82\x06\x00\x01\x00\x01a\x01"
    protocol.pid = 65535
    delivery = pending.add(b"t", b"x", 0)
    assert sent(protocol) == b"\x32\x06\x00\x01t\x00\x02x"
    protocol.pid = 65535
    protocol.subscribe("b", 0)
    assert sent(protocol) == b"\x82\x06\x00\x03\x00\x01b\x00"
    protocol.feed(puback(1))
    assert done(delivery, first) == [False, False]


def test_packet_id_is_never_0_over_70000_messages():
    protocol, _, pending = begun(waiting(1))
    for i in range(1, 70001):
        pid = (i - 1) % 65535 + 1
        delivery = pending.add(b"t", b"", 0)
        protocol.pump()
        assert delivery.number == pid
        protocol.feed(puback(pid))
        protocol.take()
        assert delivery.done()
    assert len(pending) == 0


def test_unknown_and_repeated_pubacks_are_ignored():
    protocol, events, pending = begun()
    first, second = pending.add(b"t", b"a", 0), pending.add(b"t", b"b", 0)
    sent(protocol)
    protocol.feed(puback(9) + puback(2) + puback(2))
    assert done(first, second) == [False, True]
    protocol.feed(puback(1))
    assert done(first, second) == [True, True]
    assert events.calls == []


def test_puback_of_a_message_not_sent_on_this_connection_is_ignored():
    protocol, _, pending = begun(waiting(1))
    delivery = pending.add(b"t", b"a", 0)
    sent(protocol)
    protocol, _ = again(protocol, pending)
    protocol.feed(puback(1))
    assert not delivery.done()
    assert len(pending) == 1


def test_subscribe_and_its_answer():
    protocol, _, _ = begun()
    suback = protocol.subscribe("a/#", 1)
    assert sent(protocol) == b"\x82\x08\x00\x01\x00\x03a/#\x01"
    assert not suback.done()
    protocol.feed(b"\x90\x03\x00\x02\x00")  # to another
    assert not suback.done()
    protocol.feed(b"\x90\x03\x00\x01\x80")
    assert suback.value == 0x80
    assert protocol.requests == {}


def test_ping_and_its_answer():
    protocol, events, _ = begun()
    protocol.ping()
    assert sent(protocol) == b"\xc0\x00"
    protocol.feed(b"\xd0\x00")
    assert events.calls == []
    assert sent(protocol) == b""


def test_good_bye_is_a_disconnect():
    protocol, _, _ = begun()
    protocol.goodbye()
    assert sent(protocol) == b"\xe0\x00"


def test_large_messages_are_written_one_by_one():
    protocol, _, pending = begun()
    for _ in range(3):
        pending.add(b"t", bytes(5000), 0)
    assert len(sent(protocol)) == 5008
    assert len(sent(protocol)) == 5008


def test_buffer_that_is_given_back_is_used_again_unless_it_is_large():
    protocol, _, _ = begun()
    protocol.publish(b"t", b"one")
    out = protocol.take()
    protocol.reuse(out)
    assert len(out) == 0
    protocol.take()  # the one that was collected in meanwhile
    protocol.publish(b"t", b"two")
    assert protocol.take() is out
    assert out == b"\x30\x06\x00\x01ttwo"
    protocol.publish(b"t", bytes(9000))
    out = protocol.take()
    protocol.reuse(out)
    protocol.take()
    assert protocol.take() is not out


# -- a new connection ---------------------------------------------------------------------------


def test_end_of_a_connection_fails_its_requests_and_no_telemetry():
    protocol, _, pending = begun()
    delivery = pending.add(b"t", b"a", 0)
    suback = protocol.subscribe("a", 0)
    error = OperationTimeout("late", "ping")
    protocol.fail(error)
    assert suback.error is error
    assert protocol.requests == {}
    assert protocol.accepted.error is None
    assert not delivery.done()
    young = MQTTProtocol(Events(), pending, "d", "u")
    young.fail(error)
    assert young.accepted.error is error


def test_unacknowledged_messages_are_sent_again_with_dup_in_order():
    protocol, _, pending = begun(waiting(2))
    for body in (b"a", b"b", b"c"):
        pending.add(b"t", body, 0)
    sent(protocol)
    protocol, _ = again(protocol, pending)
    assert sent(protocol) == b"\x3a\x06\x00\x01t\x00\x01a\x3a\x06\x00\x01t\x00\x02b"
    protocol.feed(puback(1))
    assert sent(protocol) == b"\x32\x06\x00\x01t\x00\x01c"  # ids are counted by connection


def test_packet_ids_of_a_new_connection_pass_over_those_in_flight():
    protocol, _, pending = begun(waiting(2))
    pending.add(b"t", b"a", 0)
    pending.add(b"t", b"b", 0)
    sent(protocol)
    protocol, _ = again(protocol, pending)
    protocol.subscribe("s", 1)
    assert sent(protocol)[:11] == b"\x82\x06\x00\x03\x00\x01s\x01\x3a\x06\x00"


def test_dup_stays_over_a_connection_on_which_nothing_was_sent():
    protocol, _, pending = begun()
    pending.add(b"t", b"a", 0)
    sent(protocol)
    protocol, _ = again(protocol, pending)
    protocol, _ = again(protocol, pending)
    assert sent(protocol)[0] == 0x3A


def test_half_a_packet_of_the_old_connection_is_forgotten():
    protocol, _, pending = begun()
    protocol.feed(b"\x40\x02\x00")
    protocol.fail(ConnectionDroppedError("gone", "read"))
    protocol = MQTTProtocol(Events(), pending, "d", "u")
    protocol.connect()
    protocol.feed(b"\x20\x02\x01\x00")
    assert protocol.accepted.value is True


def test_cancelled_message_is_neither_sent_nor_acknowledged():
    protocol, _, pending = begun(waiting(1))
    first = pending.add(b"t", b"a", 0)
    second = pending.add(b"t", b"b", 0)
    sent(protocol)
    assert pending.remove(second)
    assert pending.remove(first)
    assert not pending.remove(first)
    protocol.feed(puback(1))
    assert done(first, second) == [False, False]
    assert len(pending) == 0
    assert sent(protocol) == b""


def test_expired_messages_fail_and_younger_ones_are_sent():
    protocol, _, pending = begun(Pending(1000, 1, "puback"))
    first, second, third = [
        pending.add(b"t", body, at) for at, body in ((100, b"a"), (150, b"b"), (900, b"c"))
    ]
    sent(protocol)
    pending.expire(1151)
    for delivery in (first, second):
        assert isinstance(delivery.error, OperationTimeout)
        assert delivery.error.stage == "puback"
    assert not third.done()
    assert sent(protocol) == b"\x32\x06\x00\x01t\x00\x02c"


# -- receiving ----------------------------------------------------------------------------------

MESSAGE = b"\x32\x09\x00\x03a/b\x01\x02hi"


def acknowledge(receipt):
    """As the transport does it."""
    protocol, packet = receipt
    protocol.acknowledge(packet)


def test_message_is_acknowledged_only_on_request():
    protocol, events, _ = begun()
    protocol.feed(MESSAGE)
    assert events.calls == [("message", b"a/b", b"hi")]
    assert events.receipt == (protocol, b"\x40\x02\x01\x02")
    assert sent(protocol) == b""
    acknowledge(events.receipt)
    assert sent(protocol) == b"\x40\x02\x01\x02"


def test_incoming_message_keeps_the_output_buffer():
    protocol, events, _ = begun()
    protocol.ping()
    protocol.feed(MESSAGE)
    acknowledge(events.receipt)
    assert sent(protocol) == b"\xc0\x00\x40\x02\x01\x02"


def test_receipt_of_an_old_connection_is_ignored():
    old, events, pending = begun()
    old.feed(MESSAGE)
    protocol, _ = again(old, pending)
    assert events.receipt[0] is old
    acknowledge(events.receipt)
    assert sent(protocol) == b""


def test_message_at_qos_0_needs_no_acknowledgement():
    protocol, events, _ = begun()
    protocol.feed(b"\x30\x05\x00\x03a/b")
    assert events.receipt == (protocol, b"")
    acknowledge(events.receipt)
    assert events.calls == [("message", b"a/b", b"")]
    assert sent(protocol) == b""


def test_single_bytes_have_the_same_effect_as_one_piece():
    data = MESSAGE + b"\xd0\x00" + b"\x90\x03\x00\x01\x01" + MESSAGE
    protocol, events, _ = begun()
    suback = protocol.subscribe("a", 1)
    for i in range(len(data)):
        protocol.feed(data[i : i + 1])
    whole, expected, _ = begun()
    whole.subscribe("a", 1)
    whole.feed(data)
    assert events.calls == expected.calls
    assert len(events.calls) == 2
    assert suback.value == 1


def test_memoryview_is_accepted_like_bytes():
    protocol, events, _ = begun()
    protocol.feed(memoryview(b"xx" + MESSAGE)[2:])
    assert events.calls == [("message", b"a/b", b"hi")]


def test_oversized_message_is_discarded_and_the_next_one_parsed():
    protocol, events, _ = begun(max_inbound=20)
    protocol.feed(b"\x32\x15\x00\x03a/b\x00\x01" + bytes(14) + MESSAGE)
    assert events.calls == [("oversized", b"a/b", 21), ("message", b"a/b", b"hi")]


def test_malformed_packets_are_protocol_errors():
    for data in (
        b"\x30\x80\x80\x80\x80\x01",  # a length of five bytes
        b"\x34\x05\x00\x01a\x00\x01",  # QoS 2
        b"\x36\x05\x00\x01a\x00\x01",  # QoS 3
        b"\x30\x03\x00\x02a",  # a topic longer than its packet
        b"\x32\x04\x00\x01a\x00",  # no room for the packet id
        b"\x32\x04\x00\x02ab\x00\x01",
        b"\x32\x05\x00\x01a\x00\x00",  # packet id 0
        b"\x30\x00",
        b"\x30\x01\x00",
        b"\x30\x00\x00\x00\x00",
        b"\x20\x03\x00\x00\x00",
        b"\x20\x00",
        b"\x40\x01\x00",
        b"\x40\x03\x00\x01\x00",
        b"\x90\x02\x00\x01",
        b"\xd0\x01\x00",
        b"\x10\x00",
        b"\x82\x00",
        b"HTTP/1.1 400",
    ):
        protocol, _, _ = begun()
        raises(ProtocolError, protocol.feed, data)
