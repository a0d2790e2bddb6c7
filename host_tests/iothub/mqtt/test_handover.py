"""Token handover between two real connections over streams in memory; the test is the hub."""

import asyncio

from host_tests.support.memory_stream import MemoryStream
from host_tests.support.tasks import cancel, failure, turns
from iothub.compat import Future, as_coroutine
from iothub.connection import Connection
from iothub.errors import ConnectionDroppedError, CredentialError, OperationTimeout
from iothub.mqtt.handover import hand_over, resume
from iothub.mqtt.protocol import MQTTProtocol
from iothub.pending import Pending

OPENING, OPEN, DRAINING, CLOSED = "opening", "open", "draining", "closed"
CONNECT = b"\x10\x10\x00\x04MQTT\x04\x80\x00\x3c\x00\x01d\x00\x01u"
CONNACK = b"\x20\x02\x01\x00"  # the session is present
QOS_0 = b"\x30\x05\x00\x01thi"
QOS_1 = b"\x32\x07\x00\x01t\x00\x05hi"
PUBACK_5 = b"\x40\x02\x00\x05"


def telemetry(body, pid, dup=False):
    return bytes((0x3A if dup else 0x32, 5 + len(body), 0, 1, 116, 0, pid)) + body


def puback(pid):
    return bytes((0x40, 2, 0, pid))


class Events:
    def __init__(self):
        self.told = []

    def on_publish(self, topic, payload, receipt):
        self.told.append((bytes(payload), receipt))

    def on_oversized(self, topic, size):
        self.told.append(("oversized", size))

    def on_no_room(self, first):
        self.told.append(("no room",))

    def payloads(self):
        return [payload for payload, _ in self.told]


class Scene:
    """`old` stands, with its stream `hub`; `new` is to take its place, over the stream `next`."""

    def __init__(self, timeout=10):
        self.events = Events()
        self.pending = Pending(120000, 16, "puback")
        self.hub, self.next = MemoryStream(), MemoryStream()
        self.old, self.new = self.connection(timeout), self.connection(timeout)

    def connection(self, timeout):
        protocol = MQTTProtocol(self.events, self.pending, "d", "u", 60)
        protocol.connect()
        return Connection(protocol, timeout, 60)

    async def begin(self):
        self.hub.send(CONNACK)
        await self.old.open(self.hub)
        self.old.set_open()
        await self.hub.has_written(CONNECT)

    def hand_over(self):
        on_publish = self.events.on_publish
        return asyncio.create_task(hand_over(self.old, self.new, self.next, on_publish))

    def send(self, body):
        """Telemetry: a task that ends with its acknowledgement."""
        delivery = self.pending.add(b"t", body, 0)
        for connection in (self.old, self.new):
            connection.protocol.output.set()
        return asyncio.create_task(as_coroutine(delivery))

    async def adopted(self, task, session_present=True):
        """As the transport goes on, once the hub has accepted the new one."""
        assert await task is session_present
        self.pending.restart()
        resume(self.new.protocol, b"", self.events.on_publish)

    async def end(self):
        for connection in (self.old, self.new):
            connection.release(OSError("the end"))


def scene(test, **settings):
    async def main():
        made = Scene(**settings)
        await made.begin()
        try:
            await test(made)
        finally:
            await made.end()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_new_one_takes_the_place_of_the_old_one():
    async def test(one):
        task = one.hand_over()
        await one.next.has_written(CONNECT)
        assert (one.old.state, one.new.state) == (DRAINING, OPENING)
        assert not one.hub.closed
        one.next.send(CONNACK)
        await turns()
        assert not task.done()  # what the hub has sent on the old one may still come
        one.hub.end()
        await one.adopted(task)
        assert (one.old.state, one.new.state) == (CLOSED, OPEN)
        assert one.hub.closed
        assert not one.next.closed
        error = one.old.closed.value
        assert isinstance(error, ConnectionDroppedError)
        assert one.hub.written == b""  # not even DISCONNECT: the hub has ended it

    scene(test)


def test_hub_that_does_not_end_the_old_one_is_not_waited_for_long():
    async def test(one):
        task = one.hand_over()
        await one.next.has_written(CONNECT)
        one.next.send(b"\x20\x02\x00\x00")
        await one.adopted(task, session_present=False)
        assert (one.old.state, one.new.state) == (CLOSED, OPEN)
        assert one.hub.closed

    scene(test)


def test_what_was_owed_on_the_old_one_leaves_there():
    async def test(one):
        one.hub.block()
        one.old.protocol.publish(b"t", b"before")
        task = one.hand_over()
        await one.next.has_written(CONNECT)
        one.hub.unblock()
        await one.hub.has_written(b"\x30\x09\x00\x01tbefore")
        one.next.send(CONNACK)
        one.hub.end()
        await one.adopted(task)
        assert one.next.written == b""

    scene(test)


def test_what_is_written_meanwhile_leaves_on_the_new_one_behind_its_connack():
    async def test(one):
        task = one.hand_over()
        await one.next.has_written(CONNECT)
        one.new.protocol.publish(b"t", b"during")
        await turns()
        assert one.next.written == b""
        one.next.send(CONNACK)
        await one.next.has_written(b"\x30\x09\x00\x01tduring")
        one.hub.end()
        await one.adopted(task)
        assert one.hub.written == b""

    scene(test)


def test_telemetry_waits_and_leaves_on_the_new_one():
    async def test(one):
        task = one.hand_over()
        await one.next.has_written(CONNECT)
        sending = one.send(b"during")
        await turns()
        assert (one.hub.written, one.next.written) == (b"", b"")
        one.next.send(CONNACK)
        await turns()
        assert (one.hub.written, one.next.written) == (b"", b"")  # the old one is not dry yet
        one.hub.end()
        await one.adopted(task)
        await one.next.has_written(telemetry(b"during", 1))
        assert not sending.done()
        one.next.send(puback(1))
        await sending

    scene(test)


def test_puback_on_the_old_one_still_counts():
    async def test(one):
        sendings = [one.send(body) for body in (b"a", b"b", b"c")]
        await one.hub.has_written(telemetry(b"a", 1) + telemetry(b"b", 2) + telemetry(b"c", 3))
        task = one.hand_over()
        await one.next.has_written(CONNECT)
        one.hub.send(puback(1))  # while the hub thinks about the new one
        await sendings[0]
        one.next.send(CONNACK)
        await turns()
        one.hub.send(puback(3))  # while the old one runs dry
        await sendings[2]
        one.hub.end()
        await one.adopted(task)
        # What was not acknowledged is sent again, once, marked as a duplicate.
        await one.next.has_written(telemetry(b"b", 2, dup=True))
        one.next.send(puback(2))
        await sendings[1]
        assert one.next.written == b""
        assert len(one.pending) == 0

    scene(test)


def test_qos_0_is_heard_on_both_all_the_while():
    async def test(one):
        task = one.hand_over()
        await one.next.has_written(CONNECT)
        one.hub.send(QOS_0)
        await turns()
        assert one.events.payloads() == [b"hi"]
        one.next.send(CONNACK + QOS_0)
        await turns()
        assert one.events.payloads() == [b"hi", b"hi"]
        one.hub.send(QOS_0)
        await turns()
        assert one.events.payloads() == [b"hi", b"hi", b"hi"]
        one.hub.end()
        await one.adopted(task)

    scene(test)


def test_qos_1_on_the_old_one_is_left_to_come_again():
    async def test(one):
        task = one.hand_over()
        await one.next.has_written(CONNECT)
        one.hub.send(QOS_1)
        one.next.send(CONNACK)
        await turns()
        one.hub.end()
        await one.adopted(task)
        assert one.events.told == []
        assert one.hub.written == b""  # no PUBACK
        one.next.send(b"\x3a" + QOS_1[1:])  # the hub sends it again, with DUP
        await turns()
        assert one.events.payloads() == [b"hi"]
        protocol, packet = one.events.told[0][1]
        assert protocol is one.new.protocol
        protocol.acknowledge(packet)
        await one.next.has_written(PUBACK_5)

    scene(test)


def test_qos_1_on_the_new_one_waits_until_the_old_one_is_dry():
    async def test(one):
        task = one.hand_over()
        await one.next.has_written(CONNECT)
        one.next.send(CONNACK + QOS_1)
        await turns()
        assert one.events.told == []
        one.hub.end()
        await one.adopted(task)
        assert one.events.payloads() == [b"hi"]
        protocol, packet = one.events.told[0][1]
        protocol.acknowledge(packet)
        await one.next.has_written(PUBACK_5)

    scene(test)


def test_receipt_of_the_old_one_is_worth_nothing_afterwards():
    async def test(one):
        one.hub.send(QOS_1)
        await turns()
        protocol, packet = one.events.told[0][1]
        task = one.hand_over()
        await one.next.has_written(CONNECT)
        one.next.send(CONNACK)
        one.hub.end()
        await one.adopted(task)
        protocol.acknowledge(packet)
        await turns()
        assert one.next.written == b""

    scene(test)


# -- failures -----------------------------------------------------------------------------------


async def refused(one, task):
    one.next.send(b"\x20\x02\x00\x05")
    error = await failure(task)
    assert isinstance(error, CredentialError)
    assert error.code == 5


async def never_answered(one, task):
    error = await failure(task)
    assert isinstance(error, OperationTimeout)
    assert error.stage == "connack"


async def hung_up(one, task):
    one.next.end()
    assert isinstance(await failure(task), ConnectionDroppedError)


async def cancelled(one, task):
    await cancel(task)


FAILURES = refused, never_answered, hung_up, cancelled


def test_old_one_goes_on_after_a_failure():
    for fail in FAILURES:

        async def test(one, fail=fail):
            task = one.hand_over()
            await one.next.has_written(CONNECT)
            await fail(one, task)
            assert (one.old.state, one.new.state) == (OPEN, CLOSED)
            assert one.next.closed
            assert not one.hub.closed
            sending = one.send(b"after")
            await one.hub.has_written(telemetry(b"after", 1))
            one.hub.send(puback(1) + QOS_1)
            await sending
            assert one.events.payloads() == [b"hi"]

        scene(test, timeout=0.2 if fail is never_answered else 10)


def test_what_was_written_for_the_new_one_leaves_on_the_old_one_after_a_failure():
    for fail in FAILURES:

        async def test(one, fail=fail):
            one.hub.send(QOS_1)
            await turns()
            early, one.events.told = one.events.told, []
            task = one.hand_over()
            await one.next.has_written(CONNECT)
            sending = one.send(b"t")
            one.hub.send(QOS_1)
            await turns()
            assert one.events.told == []
            one.new.protocol.publish(b"t", b"during")
            early[0][1][0].acknowledge(early[0][1][1])  # the old one's own
            await one.hub.has_written(PUBACK_5)
            await fail(one, task)
            await one.hub.has_written(b"\x30\x09\x00\x01tduring" + telemetry(b"t", 1))
            one.hub.send(puback(1))
            await sending
            # The message that came meanwhile is handed on, and can be acknowledged.
            assert one.events.payloads() == [b"hi"]
            protocol, packet = one.events.told[0][1]
            assert protocol is one.old.protocol
            protocol.acknowledge(packet)
            await one.hub.has_written(PUBACK_5)

        scene(test, timeout=0.2 if fail is never_answered else 10)


def test_request_for_the_new_one_is_to_be_repeated_after_a_failure():
    for fail in FAILURES:

        async def test(one, fail=fail):
            task = one.hand_over()
            await one.next.has_written(CONNECT)
            asked = one.new.protocol.requests["rid"] = Future()
            suback = one.new.protocol.subscribe("s", 0)
            earlier = one.old.protocol.requests["other"] = Future()
            await fail(one, task)
            for request in (asked, suback):
                assert isinstance(request.error, ConnectionDroppedError), fail
            assert not earlier.done()
            await one.hub.has_written(b"\x82\x06\x00\x01\x00\x01s\x00")

        scene(test, timeout=0.2 if fail is never_answered else 10)


def test_old_one_that_is_lost_meanwhile_is_replaced_all_the_same():
    async def test(one):
        sending = one.send(b"a")
        await one.hub.has_written(telemetry(b"a", 1))
        task = one.hand_over()
        await one.next.has_written(CONNECT)
        one.hub.end()
        await turns()
        assert one.old.state == CLOSED
        one.next.send(CONNACK)
        await one.adopted(task)
        assert one.new.state == OPEN
        await one.next.has_written(telemetry(b"a", 1, dup=True))
        one.next.send(puback(1))
        await sending

    scene(test)


def test_renewal_that_is_cancelled_while_the_old_one_runs_dry_ends_both():
    """The hub has accepted the new one, and ends the old one by itself."""

    async def test(one):
        task = one.hand_over()
        await one.next.has_written(CONNECT)
        one.next.send(CONNACK)
        await turns()
        await cancel(task)
        assert (one.old.state, one.new.state) == (CLOSED, CLOSED)
        assert one.hub.closed and one.next.closed

    scene(test)


def test_both_are_lost():
    async def test(one):
        task = one.hand_over()
        await one.next.has_written(CONNECT)
        one.hub.end()
        one.next.end()
        assert isinstance(await failure(task), ConnectionDroppedError)
        assert (one.old.state, one.new.state) == (CLOSED, CLOSED)
        assert one.next.closed

    scene(test)


def test_new_one_that_is_lost_while_the_old_one_runs_dry():
    async def test(one):
        task = one.hand_over()
        await one.next.has_written(CONNECT)
        one.next.send(CONNACK)
        await turns()
        one.next.end()
        await turns()
        one.hub.end()
        assert isinstance(await failure(task), ConnectionDroppedError)
        assert (one.old.state, one.new.state) == (CLOSED, CLOSED)

    scene(test)
