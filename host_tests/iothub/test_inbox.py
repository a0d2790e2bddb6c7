"""iothub.inbox: one worker, in order, bounded; a lost connection's messages come again."""

import asyncio

from host_tests.support.tasks import turns, until
from iothub.compat import Future
from iothub.dispatcher import Dispatcher
from iothub.messages import Message


class Transport:
    def __init__(self):
        self.settled = []

    def prepare(self):
        pass

    def is_open(self):
        return False

    def settle(self, receipt, outcome):
        self.settled.append((receipt, outcome))


def made(handler, timeout=5):
    """(Dispatcher with a handler for messages, its Transport, what it has reported)."""
    dispatcher, problems = Dispatcher({"handler_timeout": timeout, "timeout": 5}), []
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
        dispatcher.part("inbox").post(None, note, "2")
        dispatcher.on_message(Message(b"3"), "three")
        await turns()
        assert order == [b"1", "2", b"3"]
        assert dispatcher.handled == 3

    on_loop(main)


def test_no_more_than_fifty_wait():
    async def main():
        gate = Future()

        async def handler(message):
            await gate

        dispatcher, transport, problems = made(handler)
        for number in range(60):
            dispatcher.on_message(Message(b"x"), number + 1)
        await turns()
        assert dispatcher.dropped == 10
        assert len(problems) == 10
        assert isinstance(problems[0], ValueError)
        gate.set_result()
        await turns(400)
        assert [receipt for receipt, _ in transport.settled] == list(range(1, 51))

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
        dispatcher.part("inbox").post(None, note, "desired")
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
