"""iothub.pending against a model, in any order of events, as MQTT and as AMQP use it.

Each message that is accepted ends once: acknowledged, refused, withdrawn, expired or failed. What
has not ended is sent, and after another connection sent again, in order.
"""

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from iothub.compat import Future, as_coroutine
from iothub.errors import OperationTimeout, ServiceError
from iothub.pending import Delivery, Pending, answer

LIMIT = 1000
INDEX = st.integers(0, 100)


class Model(RuleBasedStateMachine):
    """`waiting`: the deliveries in the order in which they are to be sent."""

    stage = "puback"

    def __init__(self):
        super().__init__()
        self.now = 0
        self.waiting = []
        self.sent = []  # those that were sent on this connection
        self.ended = {}  # delivery: its error or None; "withdrawn"
        self.all = []
        self.drained = None
        self.released = False  # restart() has let go who waits for drained()

    @initialize(window=st.integers(1, 4))
    def begin(self, window):
        self.window = window
        self.pending = Pending(LIMIT, window, self.stage)

    def chosen(self, among, index):
        return among[index % len(among)] if among else None

    def end(self, delivery, how=None):
        self.waiting.remove(delivery)
        if delivery in self.sent:
            self.sent.remove(delivery)
        self.ended[delivery] = how

    # -- what both protocols do -------------------------------------------------------------

    @rule()
    def add(self):
        delivery = self.pending.add(b"head", b"%d" % len(self.all), self.now)
        assert isinstance(delivery, Delivery)
        assert (delivery.head, delivery.body) == (b"head", b"%d" % len(self.all))
        assert delivery.accepted == self.now
        self.all.append(delivery)
        self.waiting.append(delivery)

    @rule()
    def next(self):
        delivery = self.pending.next()
        unsent = [one for one in self.waiting if one not in self.sent]
        if len(self.sent) >= self.window or not unsent:
            assert delivery is None
        else:
            assert delivery is unsent[0]
            self.sent.append(delivery)
            self.on_sent(delivery)

    def on_sent(self, delivery):
        pass

    @rule()
    def restart(self):
        self.pending.restart()
        self.sent = []
        self.released = True

    @rule(index=INDEX)
    def withdraw(self, index):
        delivery = self.chosen(self.all, index)
        if delivery is not None:
            assert self.pending.remove(delivery) == (delivery in self.waiting)
            if delivery in self.waiting:
                self.end(delivery, "withdrawn")

    @rule(passed=st.sampled_from([1, 300, 600]))
    def wait(self, passed):
        self.now += passed

    @rule()
    def expire(self):
        self.pending.expire(self.now)
        for delivery in list(self.waiting):
            if self.now - delivery.accepted > LIMIT:
                self.end(delivery, OperationTimeout)

    @rule()
    def fail(self):
        error = ServiceError("no", "attach", 500)
        self.pending.fail(error)
        for delivery in list(self.waiting):
            assert delivery.error is error
            self.end(delivery, ServiceError)

    @rule()
    def drain(self):
        self.drained = self.pending.drained()
        self.released = not self.waiting

    # -- what holds always ------------------------------------------------------------------

    @invariant()
    def nothing_is_lost(self):
        assert len(self.pending) == len(self.waiting)
        for delivery in self.all:
            assert (delivery in self.waiting) != (delivery in self.ended)
            how = self.ended.get(delivery)
            assert delivery.done() == (delivery in self.ended and how != "withdrawn")
            if delivery.done():
                assert type(delivery.error) is (how or type(None))
                if how is OperationTimeout:
                    assert delivery.error.stage == self.stage

    @invariant()
    def oldest(self):
        oldest = self.pending.oldest()
        assert oldest is (self.waiting[0] if self.sent else None)
        anything = self.pending.oldest(unsent=True)
        assert anything is (self.waiting[0] if self.waiting else None)

    @invariant()
    def drained_is_told_once_nothing_waits(self):
        if not self.waiting:
            self.released = True
        if self.drained is not None:
            assert self.drained.done() == self.released

    def teardown(self):
        """Once all connections hold, all that waits is sent, in order, and may end."""
        self.restart()
        expected = list(self.waiting)
        for delivery in expected:
            assert self.pending.next() is delivery
            self.sent.append(delivery)
            self.on_sent(delivery)
            self.acknowledge_one(delivery)
        assert self.pending.next() is None
        self.nothing_is_lost()
        assert len(self.pending) == 0


class MQTTModel(Model):
    """Packet ids, which a message keeps over connections."""

    pid = 0

    def on_sent(self, delivery):
        if delivery.number:
            return
        while True:
            self.pid = self.pid % 7 + 1  # so few that they are used again and again
            if not self.pending.uses(self.pid):
                break
        assert self.pid not in [one.number for one in self.waiting]
        delivery.number = self.pid

    def acknowledge_one(self, delivery):
        self.pending.acknowledge(delivery.number)
        self.end(delivery)

    @rule(number=st.integers(0, 8))
    def acknowledge(self, number):
        found = [one for one in self.sent if one.number == number]
        self.pending.acknowledge(number)
        assert len(found) <= 1
        for delivery in found:
            self.end(delivery)

    @precondition(lambda self: len(self.waiting) >= 6)
    @rule()
    def relieve(self):
        """There are seven packet ids."""
        self.fail()

    @invariant()
    def ids(self):
        for number in range(1, 9):
            used = number in [one.number for one in self.waiting]
            assert self.pending.uses(number) == used


class AMQPModel(Model):
    """Outcomes: accepted, rejected, or released, after which a message is sent again."""

    stage = "disposition"

    def acknowledge_one(self, delivery):
        self.pending.settle(delivery)
        self.end(delivery)

    @rule(index=INDEX)
    def accepted(self, index):
        delivery = self.chosen(self.all, index)  # one that has ended already, too
        if delivery is not None:
            self.pending.settle(delivery)
            if delivery in self.waiting:
                self.end(delivery)

    @rule(index=INDEX)
    def rejected(self, index):
        delivery = self.chosen(self.all, index)
        if delivery is not None:
            self.pending.settle(delivery, ServiceError("no", "disposition", "amqp:not-allowed"))
            if delivery in self.waiting:
                self.end(delivery, ServiceError)

    @rule(index=INDEX)
    def rereleased(self, index):
        """Of a message that was withdrawn, or was not sent on this connection, nothing comes."""
        delivery = self.chosen(self.all, index)
        if delivery is not None and delivery not in self.waiting:
            self.pending.send_again(delivery)

    @rule(index=INDEX)
    def released(self, index):
        delivery = self.chosen(self.sent, index)
        if delivery is not None:
            self.pending.send_again(delivery)
            self.sent.remove(delivery)
            self.waiting.remove(delivery)
            self.waiting.insert(len(self.sent), delivery)


TestMQTT = MQTTModel.TestCase
TestAMQP = AMQPModel.TestCase
TestMQTT.settings = TestAMQP.settings = settings(max_examples=200, stateful_step_count=40)


# -- a Delivery, awaited ------------------------------------------------------------------------


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario(), 10))


async def awaited(*bodies, window=16):
    """(Pending, deliveries, the tasks that await them)."""
    pending = Pending(LIMIT, window, "disposition")
    deliveries = [pending.add(b"", body, 0) for body in bodies]
    tasks = [asyncio.create_task(as_coroutine(one)) for one in deliveries]
    await asyncio.sleep(0)
    return pending, deliveries, tasks


def test_outcomes_reach_those_who_wait():
    async def scenario():
        pending, (taken, refused, again), tasks = await awaited(b"1", b"2", b"3")
        for delivery in (taken, refused, again):
            assert pending.next() is delivery
        pending.settle(taken)
        pending.settle(refused, ServiceError("no", "disposition", "amqp:not-found"))
        pending.send_again(again)
        assert pending.next() is again
        results = await asyncio.gather(*tasks[:2], return_exceptions=True)
        assert results[0] is None
        assert isinstance(results[1], ServiceError)
        assert results[1].code == "amqp:not-found"
        assert not tasks[2].done()
        drained = pending.drained()
        assert not drained.done()
        pending.settle(again)
        await tasks[2]
        assert drained.done()

    run(scenario)


def test_another_connection_sends_what_is_left_in_order():
    async def scenario():
        pending, deliveries, tasks = await awaited(b"1", b"2", b"3")
        assert [pending.next() for _ in range(4)] == [*deliveries, None]
        pending.settle(deliveries[1])
        pending.restart()
        assert [pending.next() for _ in range(3)] == [deliveries[0], deliveries[2], None]
        pending.fail(OSError())
        await asyncio.gather(*tasks, return_exceptions=True)

    run(scenario)


def test_what_is_given_up_is_withdrawn():
    async def scenario():
        pending, (late, cancelled, kept), tasks = await awaited(b"1", b"2", b"3")
        late.accepted -= LIMIT + 1
        tasks[1].cancel()
        await asyncio.sleep(0)
        pending.expire(0)
        assert pending.oldest(unsent=True) is kept
        assert pending.next() is kept
        assert pending.next() is None
        results = await asyncio.gather(*tasks[:2], return_exceptions=True)
        assert isinstance(results[0], OperationTimeout)
        assert results[0].stage == "disposition"
        assert isinstance(results[1], asyncio.CancelledError)
        assert not cancelled.done()
        pending.settle(kept)
        await tasks[2]

    run(scenario)


def test_released_message_expires_at_its_time_though_a_younger_one_goes_first():
    pending = Pending(LIMIT, 16, "disposition")
    old, young = pending.add(b"", b"1", 0), pending.add(b"", b"2", 600)
    assert [pending.next(), pending.next()] == [old, young]
    pending.send_again(old)
    pending.expire(LIMIT + 1)
    assert isinstance(old.error, OperationTimeout)
    assert not young.done()


def test_message_that_is_released_last_is_not_drained():
    pending = Pending(LIMIT, 16, "disposition")
    delivery = pending.add(b"", b"1", 0)
    pending.next()
    drained = pending.drained()
    pending.send_again(delivery)
    assert not drained.done()
    assert pending.next() is delivery
    pending.settle(delivery)
    assert drained.done()


def test_wait_that_is_given_up_lets_the_window_send_the_next():
    async def scenario():
        pending, (first, second), tasks = await awaited(b"1", b"2", window=1)
        assert pending.next() is first
        assert pending.next() is None
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        assert pending.next() is second
        pending.settle(first)  # the hub's word comes late
        assert not first.done()
        pending.settle(second)
        await tasks[1]

    run(scenario)


# -- requests -----------------------------------------------------------------------------------


def test_requests_are_answered_once():
    first, second = Future(), Future()
    requests = {"a": first, "b": second}
    answer(requests, "none", 1)
    answer(requests, "a", 5)
    answer(requests, "a", 6)
    assert first.value == 5
    assert requests == {"b": second}
    answer(requests, "b", error=OSError("no"))
    assert isinstance(second.error, OSError)
    assert requests == {}
