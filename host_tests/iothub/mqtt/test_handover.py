"""iothub.mqtt.handover: QoS 1 messages that arrive while a second connection takes over."""

from iothub.mqtt.handover import Hold
from iothub.mqtt.protocol import Session


class Listener:
    def __init__(self):
        self.told = []

    def message(self, topic, payload, receipt):
        self.told.append((payload, receipt))

    def oversized(self, topic, size):
        self.told.append(("oversized", size))


def held():
    """(session on hold, its listener); one QoS 0 message was written before."""
    listener = Listener()
    session = Session(listener, "d", "u")
    session.connect()
    session.take()
    session.publish(b"t", b"before")
    session.hold = Hold(session.sock)
    return session, listener


BEFORE = b"\x30\x09\x00\x01tbefore"
DURING = b"\x30\x09\x00\x01tduring"
QOS_1 = b"\x32\x07\x00\x01t\x00\x05hi"


def test_packets_written_during_the_handover_wait():
    session, _ = held()
    session.publish(b"t", b"during")
    assert session.pump()
    assert bytes(session.take()) == BEFORE
    assert not session.pump()


def test_waiting_packets_leave_on_the_new_connection():
    session, listener = held()
    session.take()
    session.publish(b"t", b"during")
    session.acknowledge((session.connection, b"\x40\x02\x00\x04"))
    session.feed(QOS_1)
    assert listener.told == []  # it comes again
    session.begin()
    assert session.hold is None
    assert session.pump()
    assert bytes(session.take()) == DURING


def test_failed_handover_resumes_the_old_connection():
    session, listener = held()
    session.publish(b"t", b"during")
    session.acknowledge((session.connection, b"\x40\x02\x00\x04"))
    session.feed(QOS_1)
    hold, session.hold = session.hold, None
    hold.undo(session.sock, listener)
    assert bytes(session.take()) == BEFORE + DURING + b"\x40\x02\x00\x04"
    payload, receipt = listener.told[0]
    assert payload == b"hi"
    session.acknowledge(receipt)
    assert bytes(session.take()) == b"\x40\x02\x00\x05"


def test_qos_0_messages_are_delivered_during_the_handover():
    session, listener = held()
    session.feed(b"\x30\x05\x00\x01thi")
    assert [payload for payload, _ in listener.told] == [b"hi"]


def test_unacknowledged_message_is_sent_again_with_dup():
    session, _ = held()
    session.take()
    session.hold = None
    session.publish(b"t", b"m", qos=1)
    session.pump()
    session.take()
    session.hold = Hold(session.sock)
    session.begin()
    assert session.pump()
    assert session.take()[0] == 0x3A
