"""iothub.inbox: one worker, in order, bounded; a lost connection's messages come again."""

import asyncio

from host_tests.support.tasks import turns, until
from iothub.compat import Future
from iothub.dispatcher import Dispatcher
from iothub.messages import Message
from iothub.options import checked


class Transport:
    def __init__(self):
        self.settled = []
        self.paused = False
        self.redelivered = []

    def prepare(self):
        pass

    def is_open(self):
        return False

    def settle(self, receipt, outcome):
        self.settled.append((receipt, outcome))

    def pause_reading(self, paused):
        assert paused != self.paused
        self.paused = paused

    async def redeliver(self, receipts):
        self.redelivered.append(receipts)


def made(handler, timeout=5, **options):
    """(Dispatcher with a handler for messages, its Transport, what it has reported)."""
    options = checked(dict(options, handler_timeout=timeout, timeout=5))
    dispatcher, problems = Dispatcher(options), []
    transport = dispatcher.transport = Transport()
    dispatcher.set_handler("on_background_exception", problems.append)
    dispatcher.set_handler("on_message_received", handler)
    return dispatcher, transport, problems


def on_loop(main):
    return asyncio.run(asyncio.wait_for(main(), 10))


def test_handlers_run_one_after_the_other():
    async def main():
        gates, running = {}, []

        async def handler(message):
            running.append(message.data)
            gates[message.data] = Future()
            await gates[message.data]

        dispatcher, transport, _ = made(handler)
        for data in (b"a", b"b"):
            dispatcher.on_message(Message(data), data)
        await turns()
        assert running == [b"a"]
        assert transport.settled == []
        assert not dispatcher.is_idle()
        gates[b"a"].set_result()
        await turns()
        assert running == [b"a", b"b"]
        assert transport.settled == [(b"a", "complete")]
        gates[b"b"].set_result()
        await turns()
        assert transport.settled == [(b"a", "complete"), (b"b", "complete")]
        assert dispatcher.is_idle()

    on_loop(main)


def test_what_is_posted_runs_in_the_same_order_as_messages():
    async def main():
        order = []

        async def note(what):
            order.append(what)

        dispatcher, _, _ = made(lambda message: order.append(message.data))
        dispatcher.on_message(Message(b"1"), "one")
        dispatcher.part("inbox").post(None, 0, note, "2")
        dispatcher.on_message(Message(b"3"), "three")
        await turns()
        assert order == [b"1", "2", b"3"]
        assert dispatcher.handled == 3

    on_loop(main)


def test_no_more_than_a_hundred_wait():
    async def main():
        gate = Future()

        async def handler(message):
            await gate

        dispatcher, transport, problems = made(handler)
        for number in range(111):
            dispatcher.on_message(Message(b"x"), number + 1)
        await turns()
        assert dispatcher.dropped == 10
        assert [error.stage for error in problems] == ["message"]  # once for all of them
        gate.set_result()
        await turns(400)
        assert [receipt for receipt, _ in transport.settled] == list(range(1, 102))

    on_loop(main)


def test_transport_is_paused_while_much_waits():
    async def main():
        gates, paused = [], []

        async def handler(message):
            gates.append(Future())
            await gates[-1]

        dispatcher, transport, problems = made(handler, max_inbound=1000)
        for number in range(4):
            dispatcher.on_message(Message(b"x" * 300), number + 1)
            paused.append(transport.paused)
            await turns()
        # The first one is with its handler by then; 900 bytes wait, and no 300 more have room.
        assert paused == [False, False, False, True]
        gates[0].set_result()
        await turns()
        assert not transport.paused
        assert problems == [] and dispatcher.dropped == 0
        for gate in range(1, 4):
            gates[gate].set_result()
            await turns()
        assert [receipt for receipt, _ in transport.settled] == [1, 2, 3, 4]

    on_loop(main)


def test_transport_is_paused_while_many_wait():
    async def main():
        gate = Future()

        async def handler(message):
            await gate

        dispatcher, transport, _ = made(handler)
        for number in range(25):
            dispatcher.on_message(Message(b""), number + 1)
            assert not transport.paused
        dispatcher.on_message(Message(b""), 26)
        assert transport.paused
        gate.set_result()
        await turns(200)
        assert not transport.paused

    on_loop(main)


def test_what_had_no_room_is_asked_for_again_once_nothing_waits():
    async def main():
        gate = Future()

        async def handler(message):
            await gate

        dispatcher, transport, _ = made(handler, max_inbound=100)
        for number in range(6):  # four times max_inbound is the most that waits
            dispatcher.on_message(Message(b"x" * 90), number + 1)
        await turns()
        assert dispatcher.dropped == 2
        dispatcher.tick()
        await turns()
        assert transport.redelivered == []
        gate.set_result()
        await turns(50)
        dispatcher.tick()
        await turns()
        assert transport.redelivered == [[5, 6]]
        dispatcher.tick()
        await turns()
        assert len(transport.redelivered) == 1

    on_loop(main)


def test_lost_connection_asks_for_nothing_again():
    """All that was not settled comes with the next connection."""

    async def main():
        dispatcher, transport, _ = made(lambda message: None)
        dispatcher.part("inbox").on_no_room(1)
        assert dispatcher.dropped == 1
        dispatcher.on_disconnected()
        dispatcher.tick()
        await turns()
        assert transport.redelivered == []

    on_loop(main)


def test_message_whose_handler_has_no_heap_comes_again():
    async def main():
        def handler(message):
            raise MemoryError

        dispatcher, transport, problems = made(handler)
        dispatcher.on_message(Message(b"x"), 1)
        await turns()
        assert transport.settled == []
        assert [error.stage for error in problems] == ["memory"]
        dispatcher.tick()
        await turns()
        assert transport.redelivered == [[1]]

    on_loop(main)


def test_item_without_heap_to_run_it_waits_for_some():
    async def main():
        seen = []

        async def note(what):
            seen.append(what)

        def scarce(what):
            if not seen:
                seen.append("no heap")
                raise MemoryError
            return note(what)

        dispatcher, _, _ = made(lambda message: None)
        dispatcher.part("inbox").post(None, 0, scarce, "one")
        dispatcher.part("inbox").post(None, 0, note, "two")
        await until(lambda: len(seen) == 3)
        assert seen == ["no heap", "one", "two"]

    on_loop(main)


def test_lost_connection_takes_its_messages_with_it_and_nothing_else():
    async def main():
        order, gate = [], Future()

        async def handler(message):
            order.append(message.data)
            if message.data == b"first":
                await gate

        async def note(what):
            order.append(what)

        dispatcher, transport, _ = made(handler)
        dispatcher.on_message(Message(b"first"), "first")
        dispatcher.on_message(Message(b"second"), "second")
        dispatcher.part("inbox").post(None, 0, note, "desired")
        await turns()
        dispatcher.on_disconnected()
        dispatcher.on_message(Message(b"again"), "again")  # of the next connection
        gate.set_result()
        await turns()
        assert order == [b"first", "desired", b"again"]
        # The first one was begun: the transport knows that its receipt is worth nothing.
        assert transport.settled == [("first", "complete"), ("again", "complete")]

    on_loop(main)


def test_handler_that_is_late_is_abandoned():
    async def main():
        async def handler(message):
            if message.data == b"slow":
                await asyncio.sleep(60)

        dispatcher, transport, problems = made(handler, timeout=0.01)
        dispatcher.on_message(Message(b"slow"), "slow")
        dispatcher.on_message(Message(b"fast"), "fast")
        await until(lambda: len(transport.settled) == 2)
        assert transport.settled == [("slow", "abandon"), ("fast", "complete")]
        assert [error.stage for error in problems] == ["handler"]

    on_loop(main)


def test_handler_that_ends_with_a_cancellation_does_not_stop_the_others():
    """As one does that awaits a task which it has cancelled."""

    async def main():
        seen = []

        async def long():
            await asyncio.sleep(60)

        async def handler(message):
            seen.append(message.data)
            if message.data == b"cancels":
                task = asyncio.create_task(long())
                await asyncio.sleep(0)
                task.cancel()
                await task

        dispatcher, transport, _ = made(handler)
        dispatcher.on_message(Message(b"cancels"), "one")
        await turns()
        for data in (b"two", b"three"):
            dispatcher.on_message(Message(data), data)
        await turns()
        assert seen == [b"cancels", b"two", b"three"]
        assert transport.settled == [
            ("one", "abandon"),
            (b"two", "complete"),
            (b"three", "complete"),
        ]
        assert dispatcher.is_idle()

    on_loop(main)


def test_close_ends_the_worker_after_what_is_there():
    async def main():
        seen = []
        dispatcher, _, _ = made(lambda message: seen.append(message.data))
        for data in (b"a", b"b"):
            dispatcher.on_message(Message(data), data)
        dispatcher.close()
        await turns()
        assert seen == [b"a", b"b"]
        dispatcher.on_disconnected()
        assert dispatcher.is_idle()

    on_loop(main)
