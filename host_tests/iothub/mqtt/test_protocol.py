"""iothub.mqtt.protocol, byte for byte: CONNECT, the QoS 1 window, acknowledgements, errors."""

from host_tests.support.raises import raises
from iothub.errors import ProtocolError
from iothub.mqtt.protocol import Session


class Listener:
    """Records the session's calls."""

    def __init__(self):
        self.calls = []

    def connack(self, code, session_present):
        self.calls.append(("connack", code, session_present))

    def suback(self, pid, codes):
        self.calls.append(("suback", pid, codes))

    def puback(self, delivery):
        self.calls.append(("puback", bytes(delivery.payload)))

    def failed(self, delivery, error):
        self.calls.append(("failed", bytes(delivery.payload), error.stage))

    def message(self, topic, payload, receipt):
        self.calls.append(("message", topic, payload))
        self.receipt = receipt

    def oversized(self, topic, size):
        self.calls.append(("oversized", topic, size))

    def pong(self):
        self.calls.append(("pong",))


def begun(**options):
    """(session, listener) after CONNECT and CONNACK, with nothing left to send."""
    listener = Listener()
    session = Session(listener, "d", "u", **options)
    session.connect()
    session.take()
    session.feed(b"\x20\x02\x00\x00")
    listener.calls = []
    return session, listener


def sent(session):
    session.pump()
    return bytes(session.take())


def puback(pid):
    return bytes((0x40, 2, pid >> 8, pid & 255))


# -- CONNECT ------------------------------------------------------------------------------------


def test_connect_with_a_password():
    session = Session(Listener(), "d", "u", keepalive=60)
    session.connect("pw")
    assert sent(session) == b"\x10\x14\x00\x04MQTT\x04\xc0\x00\x3c\x00\x01d\x00\x01u\x00\x02pw"


def test_connect_without_a_password_has_no_password_flag():
    session = Session(Listener(), "d", "u", keepalive=1177)
    session.connect()
    assert sent(session) == b"\x10\x10\x00\x04MQTT\x04\x80\x04\x99\x00\x01d\x00\x01u"


def test_connect_with_a_will_and_a_clean_session():
    session = Session(Listener(), "d", "u", keepalive=60)
    session.set_last_will(b"t", b"gone", qos=1)
    session.connect(clean_session=True)
    assert sent(session) == (
        b"\x10\x19\x00\x04MQTT\x04\x8e\x00\x3c\x00\x01d\x00\x01t\x00\x04gone\x00\x01u"
    )


def test_lengths_are_counted_in_bytes():
    session = Session(Listener(), "é", "漢", keepalive=60)
    session.connect()
    assert sent(session).endswith("\x00\x02é\x00\x03漢".encode())


def test_connack_codes_and_session_present():
    for code in range(6):
        listener = Listener()
        session = Session(listener, "d", "u")
        session.connect()
        session.feed(bytes((0x20, 2, code & 1, code)))
        assert listener.calls == [("connack", code, bool(code & 1))]


# -- sending ------------------------------------------------------------------------------------


def test_qos_0_publish_is_written_at_once():
    session, _ = begun()
    assert session.publish("é".encode(), "漢".encode()) is None
    assert sent(session) == b"\x30\x07\x00\x02" + "é漢".encode()


def test_qos_1_publish_waits_for_its_puback():
    session, listener = begun()
    session.publish(b"t", b"x", qos=1)
    assert session.unacknowledged == 1
    assert sent(session) == b"\x32\x06\x00\x01t\x00\x01x"
    session.feed(puback(1))
    assert listener.calls == [("puback", b"x")]
    assert session.unacknowledged == 0


def test_window_is_never_exceeded_and_is_refilled_in_order():
    session, _ = begun(window=2)
    for body in (b"a", b"b", b"c", b"d"):
        session.publish(b"t", body, qos=1)
    assert sent(session) == b"\x32\x06\x00\x01t\x00\x01a\x32\x06\x00\x01t\x00\x02b"
    assert sent(session) == b""
    session.feed(puback(2))
    assert sent(session) == b"\x32\x06\x00\x01t\x00\x03c"
    session.feed(puback(1) + puback(3))
    assert sent(session) == b"\x32\x06\x00\x01t\x00\x04d"


def test_packet_ids_wrap_and_skip_those_in_flight():
    session, listener = begun(window=3)
    session.pid = 65533
    session.publish(b"t", b"stays", qos=1)
    sent(session)
    session.publish(b"t", b"last", qos=1)
    session.publish(b"t", b"first", qos=1)
    assert sent(session) == b"\x32\x09\x00\x01t\xff\xfflast\x32\x0a\x00\x01t\x00\x01first"
    session.feed(puback(65535) + puback(1))
    session.pid = 65533
    session.publish(b"t", b"next", qos=1)
    assert sent(session) == b"\x32\x09\x00\x01t\xff\xffnext"
    session.feed(puback(65534))
    assert listener.calls[-1] == ("puback", b"stays")


def test_packet_id_is_never_0_over_70000_messages():
    session, listener = begun(window=1)
    for i in range(1, 70001):
        pid = (i - 1) % 65535 + 1
        delivery = session.publish(b"t", b"", qos=1)
        session.pump()
        assert delivery.pid == pid
        session.feed(puback(pid))
        session.take()
        listener.calls.pop()
    assert session.unacknowledged == 0


def test_unknown_and_repeated_pubacks_are_ignored():
    session, listener = begun()
    session.publish(b"t", b"a", qos=1)
    session.publish(b"t", b"b", qos=1)
    sent(session)
    session.feed(puback(9) + puback(2) + puback(2) + puback(1))
    assert listener.calls == [("puback", b"b"), ("puback", b"a")]


def test_puback_of_a_message_not_sent_on_this_connection_is_ignored():
    session, listener = begun(window=1)
    session.publish(b"t", b"a", qos=1)
    sent(session)
    session.connect()
    session.feed(puback(1))
    assert listener.calls == []
    assert session.unacknowledged == 1


def test_subscribe_and_its_answer():
    session, listener = begun()
    assert session.subscribe("a/#", 1) == 1
    assert sent(session) == b"\x82\x08\x00\x01\x00\x03a/#\x01"
    session.feed(b"\x90\x03\x00\x01\x80")
    assert listener.calls == [("suback", 1, b"\x80")]


def test_ping_and_its_answer():
    session, listener = begun()
    session.ping()
    assert sent(session) == b"\xc0\x00"
    session.feed(b"\xd0\x00")
    assert listener.calls == [("pong",)]


def test_disconnect():
    session, _ = begun()
    session.disconnect()
    assert sent(session) == b"\xe0\x00"


def test_large_messages_are_written_one_by_one():
    session, _ = begun()
    for _ in range(3):
        session.publish(b"t", bytes(5000), qos=1)
    assert len(sent(session)) == 5008
    assert len(sent(session)) == 5008


# -- a new connection ---------------------------------------------------------------------------


def test_unacknowledged_messages_are_sent_again_with_dup_in_order():
    session, _ = begun(window=2)
    for body in (b"a", b"b", b"c"):
        session.publish(b"t", body, qos=1)
    sent(session)
    session.connect()
    session.take()
    assert sent(session) == b"\x3a\x06\x00\x01t\x00\x01a\x3a\x06\x00\x01t\x00\x02b"
    session.feed(puback(1))
    assert sent(session) == b"\x32\x06\x00\x01t\x00\x03c"


def test_dup_stays_over_a_connection_on_which_nothing_was_sent():
    session, _ = begun()
    session.publish(b"t", b"a", qos=1)
    sent(session)
    session.connect()
    session.connect()
    session.take()
    assert sent(session)[0] == 0x3A


def test_half_a_packet_of_the_old_connection_is_forgotten():
    session, listener = begun()
    session.feed(b"\x40\x02\x00")
    session.connect()
    session.feed(b"\x20\x02\x01\x00")
    assert listener.calls == [("connack", 0, True)]


def test_cancelled_message_is_neither_sent_nor_acknowledged():
    session, listener = begun(window=1)
    first = session.publish(b"t", b"a", qos=1)
    second = session.publish(b"t", b"b", qos=1)
    sent(session)
    session.withdraw(second)
    session.withdraw(first)
    session.withdraw(first)
    session.feed(puback(1))
    assert listener.calls == []
    assert session.unacknowledged == 0
    assert sent(session) == b""


def test_expired_messages_fail_and_younger_ones_stay():
    session, listener = begun(window=1)
    for at, body in ((100, b"a"), (150, b"b"), (900, b"c")):
        session.publish(b"t", body, qos=1).accepted = at
    sent(session)
    session.expire(1151, 1000)
    assert listener.calls == [("failed", b"a", "puback"), ("failed", b"b", "puback")]
    assert sent(session) == b"\x32\x06\x00\x01t\x00\x02c"


# -- receiving ----------------------------------------------------------------------------------

MESSAGE = b"\x32\x09\x00\x03a/b\x01\x02hi"


def test_message_is_acknowledged_only_on_request():
    session, listener = begun()
    session.feed(MESSAGE)
    assert listener.calls == [("message", b"a/b", b"hi")]
    assert sent(session) == b""
    session.acknowledge(listener.receipt)
    assert sent(session) == b"\x40\x02\x01\x02"


def test_incoming_message_keeps_the_output_buffer():
    session, listener = begun()
    session.ping()
    session.feed(MESSAGE)
    session.acknowledge(listener.receipt)
    assert sent(session) == b"\xc0\x00\x40\x02\x01\x02"


def test_receipt_of_an_old_connection_is_ignored():
    session, listener = begun()
    session.feed(MESSAGE)
    session.connect()
    session.take()
    session.acknowledge(listener.receipt)
    assert sent(session) == b""


def test_message_at_qos_0_needs_no_acknowledgement():
    session, listener = begun()
    session.feed(b"\x30\x05\x00\x03a/b")
    session.acknowledge(listener.receipt)
    assert listener.calls == [("message", b"a/b", b"")]
    assert sent(session) == b""


def test_single_bytes_have_the_same_effect_as_one_piece():
    data = MESSAGE + b"\xd0\x00" + b"\x90\x03\x00\x05\x01" + MESSAGE
    session, listener = begun()
    for i in range(len(data)):
        session.feed(data[i : i + 1])
    whole, expected = begun()
    whole.feed(data)
    assert listener.calls == expected.calls
    assert len(listener.calls) == 4


def test_memoryview_is_accepted_like_bytes():
    session, listener = begun()
    session.feed(memoryview(b"xx" + MESSAGE)[2:])
    assert listener.calls == [("message", b"a/b", b"hi")]


def test_oversized_message_is_discarded_and_the_next_one_parsed():
    session, listener = begun(max_inbound=20)
    session.feed(b"\x32\x15\x00\x03a/b\x00\x01" + bytes(14) + MESSAGE)
    assert listener.calls == [("oversized", b"a/b", 21), ("message", b"a/b", b"hi")]


def test_malformed_packets_are_protocol_errors():
    for data in (
        b"\x30\x80\x80\x80\x80\x01",  # a length of five bytes
        b"\x34\x05\x00\x01a\x00\x01",  # QoS 2
        b"\x36\x05\x00\x01a\x00\x01",  # QoS 3
        b"\x30\x03\x00\x02a",  # a topic longer than its packet
        b"\x32\x04\x00\x01a\x00",  # no room for the packet id
        b"\x32\x04\x00\x02ab\x00\x01",
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
        session, _ = begun()
        raises(ProtocolError, session.feed, data)
