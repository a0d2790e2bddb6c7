"""iothub.amqp.pending: each delivery ends once, and a withdrawn one is never sent."""

import asyncio

from iothub.amqp.composites import ACCEPTED, REJECTED, RELEASED, Composite, error_of
from iothub.amqp.links import Delivery
from iothub.amqp.pending import Pending
from iothub.errors import OperationTimeout, ServiceError


class Sender:
    """In place of a link: what Pending sends by."""

    def __init__(self):
        self.queue = []

    def send(self, delivery):
        self.queue.append(delivery.head)

    def withdraw(self, delivery):
        if delivery.head in self.queue:
            self.queue.remove(delivery.head)


class Wire:
    def send(self, sender, delivery):
        sender.send(delivery)


async def begun(*heads, attached=True):
    """(Pending, its Sender, the deliveries, a task that awaits each)"""
    pending, sender, wire = Pending(10), Sender(), Wire()
    if attached:
        pending.attach(sender)
    deliveries = [Delivery(head) for head in heads]
    tasks = [asyncio.create_task(pending.deliver(wire, one)) for one in deliveries]
    await asyncio.sleep(0)
    return pending, sender, deliveries, tasks


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_outcomes_become_results_or_exceptions():
    async def scenario():
        pending, sender, (taken, refused, back), tasks = await begun(b"1", b"2", b"3")
        pending.settled(taken, Composite(ACCEPTED))
        pending.settled(refused, Composite(REJECTED, error=error_of("amqp:not-found", "no")))
        pending.settled(back, Composite(RELEASED))
        assert sender.queue == [b"3", b"3"]  # sent again
        results = await asyncio.gather(*tasks[:2], return_exceptions=True)
        assert results[0] is None
        assert isinstance(results[1], ServiceError)
        assert results[1].code == "amqp:not-found"
        assert not tasks[2].done()
        assert not pending.drained.is_set()
        pending.settled(back, Composite(ACCEPTED))
        await tasks[2]
        assert pending.drained.is_set()

    run(scenario)


def test_next_connection_sends_the_rest_in_order():
    async def scenario():
        pending, sender, deliveries, tasks = await begun(b"1", b"2", b"3", attached=False)
        assert sender.queue == []
        pending.attach(sender)
        pending.settled(deliveries[1], Composite(ACCEPTED))
        again = Sender()
        pending.attach(again)
        assert again.queue == [b"1", b"3"]
        pending.fail(OSError())
        await asyncio.gather(*tasks, return_exceptions=True)

    run(scenario)


def test_cancelled_delivery_is_withdrawn():
    async def scenario():
        pending, sender, (late, cancelled, kept), tasks = await begun(b"1", b"2", b"3")
        late.accepted -= 20000
        tasks[1].cancel()
        await asyncio.sleep(0)
        assert pending.oldest(kept.accepted) is kept
        assert sender.queue == [b"3"]
        results = await asyncio.gather(*tasks[:2], return_exceptions=True)
        assert isinstance(results[0], OperationTimeout)
        assert results[0].stage == "disposition"
        assert isinstance(results[1], asyncio.CancelledError)
        pending.settled(kept, Composite(ACCEPTED))
        await tasks[2]

    run(scenario)
