"""iothub.outbox between a scripted client and a scripted transport."""

import asyncio

from host_tests.support.raises import raises
from iothub.errors import NoConnectionError, OperationTimeout, ServiceError
from iothub.future import Once, coroutine
from iothub.messages import Message
from iothub.mqtt.properties import telemetry
from iothub.outbox import Outbox, OutboxFullError


class Client:
    _closed = False
    _wanted = True
    _retry = True
    _options = {"auto_connect": True}

    def __init__(self):
        self.problems = []

    def problem(self, error):
        self.problems.append(error)


class Flight(Once):
    def given_up(self):
        self.withdraw()


class Transport:
    """A scripted transport: messages in flight, by their text."""

    def __init__(self):
        self.flying = {}
        self.sent = []
        self.times = {}

    def send_message(self, message):
        text = bytes(message.payload()).decode()
        self.sent.append(text)
        self.times[text] = message.creation_time_utc
        once = self.flying[text] = Flight()
        once.withdraw = lambda: self.flying.pop(text)
        return coroutine(once)

    async def sends(self, text):
        """Wait until `text` is sent again."""
        self.flying.pop(text, None)
        while text not in self.flying:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def answer(self, *texts):
        for text in texts:
            self.flying.pop(text).settle()
        await turns()

    async def fail(self, text, error):
        self.flying.pop(text).settle(error)
        await turns()


async def turns():
    for _ in range(20):
        await asyncio.sleep(0)


def made(window=4, **settings):
    outbox, client, transport = Outbox(**settings), Client(), Transport()
    outbox.attach(client, transport, {"qos": 1, "window": window})
    return outbox, client, transport


def send(outbox, *texts):
    return [asyncio.create_task(outbox.send_message(Message(text))) for text in texts]


def on_loop(main):
    return asyncio.run(asyncio.wait_for(main(), 20))


def test_message_is_removed_when_it_is_acknowledged():
    async def main():
        outbox, _, transport = made(window=2)
        outbox.moved(True)
        tasks = send(outbox, "a", "b", "c")
        await turns()
        assert transport.sent == ["a", "b"]
        assert [task.done() for task in tasks] == [False] * 3
        assert len(outbox) == 3
        await transport.answer("a")
        assert [task.done() for task in tasks] == [True, False, False]
        assert transport.sent == ["a", "b", "c"]
        assert transport.times["a"] is None
        await transport.answer("b", "c")
        assert len(outbox) == 0
        for task in tasks:
            await task

    on_loop(main)


def test_messages_acknowledged_out_of_order_are_removed_in_order():
    async def main():
        outbox, _, transport = made()
        outbox.moved(True)
        first, second = send(outbox, "a", "b")
        await turns()
        await transport.answer("b")
        assert not second.done()
        await transport.answer("a")
        assert first.done()
        assert second.done()

    on_loop(main)


def test_lost_connection_keeps_messages_in_flight_with_their_time():
    async def main():
        outbox, _, transport = made(window=2)
        outbox.moved(True)
        tasks = send(outbox, "a", "b", "c")
        await turns()
        await transport.answer("a")
        outbox.moved(False)
        await asyncio.gather(*tasks)
        assert len(outbox) == 2
        await turns()
        transport.sent = []
        outbox.moved(True)
        await turns()
        assert transport.sent == ["b", "c"]
        for text in transport.sent:
            assert transport.times[text][:2] == "20"
            assert transport.times[text][-1] == "Z"
        await transport.answer("b", "c")
        assert len(outbox) == 0
        assert outbox.dropped == 0

    on_loop(main)


def test_lost_connection_withdraws_messages_from_the_transport():
    async def main():
        for turns_before in range(8):
            outbox, _, transport = made()
            outbox.moved(True)
            tasks = send(outbox, "a", "b")
            for _ in range(turns_before):
                await asyncio.sleep(0)
            outbox.moved(False)
            await turns()
            assert transport.flying == {}, turns_before
            await asyncio.gather(*tasks)
            assert len(outbox) == 2

    on_loop(main)


def test_creation_time_of_the_program_is_kept():
    async def main():
        outbox, _, transport = made()
        message = Message("a", message_id="7", content_type="text/plain")
        message.creation_time_utc = "2001-02-03T04:05:06Z"
        message.custom_properties = {"é&=": "% ", "bare": None}
        seen = []
        transport.send_message = lambda message: seen.append(message) or coroutine(Once())
        outbox.moved(False)
        await outbox.send_message(message)
        outbox.moved(True)
        await turns()
        (sent,) = seen
        assert sent is not message
        assert sent.creation_time_utc == "2001-02-03T04:05:06Z"
        assert (sent.message_id, sent.content_type) == ("7", "text/plain")
        assert sent.custom_properties == {"é&=": "% ", "bare": None}

    on_loop(main)


def test_stored_messages_are_sent_before_new_ones():
    async def main():
        outbox, _, transport = made(window=1)
        outbox.moved(False)
        for text in ("a", "b"):
            await outbox.send_message(Message(text))
        outbox.moved(True)
        (fresh,) = send(outbox, "c")
        await turns()
        for text in ("a", "b"):
            assert transport.sent[-1] == text
            assert not fresh.done()
            await transport.answer(text)
        await transport.answer("c")
        assert fresh.done()
        assert transport.sent == ["a", "b", "c"]

    on_loop(main)


def test_full_outbox_drops_the_oldest_or_the_newest():
    async def main():
        for drop, left in (("oldest", ["3", "4", "5", "6"]), ("newest", ["0", "1", "2", "3"])):
            outbox, _, transport = made(window=9, limit=4 * 64 + 4 * 60, drop=drop)
            outbox.moved(False)
            refused = []
            for number in range(7):
                message = Message(str(number) + "x" * 17)
                message.creation_time_utc = "2001-02-03T04:05:06Z"
                try:
                    await outbox.send_message(message)
                except OutboxFullError as error:
                    assert error.stage == "outbox"
                    refused.append(str(number))
            assert refused == ([] if drop == "oldest" else ["4", "5", "6"])
            assert outbox.dropped == 3
            outbox.moved(True)
            await turns()
            assert [text[0] for text in transport.sent] == left

    on_loop(main)


def test_concurrent_messages_stay_within_the_limit():
    async def main():
        outbox, _, _ = made(limit=1024)
        outbox.moved(False)
        tasks = send(outbox, *[str(number) for number in range(10, 50)])
        await turns()
        failed = []
        for number in range(40):
            if await failure(tasks[number]):
                failed.append(number)
        assert failed == list(range(outbox.dropped))
        assert 5 < len(outbox) == 40 - outbox.dropped < 16

    on_loop(main)


async def failure(task):
    try:
        await task
    except Exception as error:
        return error
    return None


def test_failure_sends_all_messages_again_in_order():
    async def main():
        outbox, client, transport = made(window=2)
        outbox.moved(True)
        tasks = send(outbox, "a", "b", "c")
        await turns()
        await transport.fail("a", OperationTimeout("no acknowledgement", "puback"))
        assert transport.flying == {}
        transport.sent = []
        await transport.sends("b")  # after its pause
        assert transport.sent == ["a", "b"]
        await transport.answer("a", "b")
        await transport.answer("c")
        for task in tasks:
            await task
        assert client.problems == []

    on_loop(main)


def test_permanently_refused_message_does_not_block_the_others():
    async def main():
        outbox, client, transport = made()
        outbox.moved(False)
        await outbox.send_message(Message("bad"))
        await outbox.send_message(Message("good"))
        outbox.moved(True)
        await turns()
        await transport.fail("bad", ServiceError("too large", "disposition", "amqp:not-allowed"))
        await transport.answer("good")
        assert len(outbox) == 0
        assert outbox.refused == 1
        assert [error.code for error in client.problems] == ["amqp:not-allowed"]

    on_loop(main)


def test_refusal_is_raised_in_an_awaiting_send():
    async def main():
        outbox, _, transport = made()
        outbox.moved(True)
        (task,) = send(outbox, "bad")
        await turns()
        await transport.fail("bad", ServiceError("too large", "disposition", "amqp:not-allowed"))
        try:
            await task
        except ServiceError as error:
            assert error.code == "amqp:not-allowed"
        else:
            raise AssertionError("not raised")

    on_loop(main)


def test_throttled_message_is_sent_again():
    async def main():
        outbox, _, transport = made()
        outbox.moved(False)
        await outbox.send_message(Message("a"))
        outbox.moved(True)
        await turns()
        busy = ServiceError("throttled", "disposition", "amqp:resource-limit-exceeded")
        await transport.fail("a", busy)
        await transport.sends("a")
        await transport.answer("a")
        assert len(outbox) == 0
        assert outbox.refused == 0

    on_loop(main)


def test_caller_mistakes_are_raised():
    outbox, client, transport = made()
    raises(ValueError, outbox.attach, client, transport, {"qos": 0, "window": 1})
    raises(ValueError, Outbox, None, 100)
    raises(ValueError, Outbox, None, None, "middle")

    async def main():
        error = raises(ValueError, outbox.send_message, Message("x" * 9000))
        assert "larger than the outbox" in str(error)
        raises(TypeError, outbox.send_message, Message(5))
        client._closed = True
        raises(NoConnectionError, outbox.send_message, Message("x"))

    on_loop(main)


def test_unsendable_message_is_reported_and_skipped():
    async def main():
        outbox, client, transport = made()
        outbox.moved(True)
        bad, good = send(outbox, "bad", "good")
        await turns()
        assert transport.sent == ["bad", "good"]
        await transport.fail("bad", ValueError("a symbol is ASCII"))
        await transport.answer("good")
        await good
        assert isinstance(await failure(bad), ValueError)
        assert outbox.refused == 1
        assert [type(error) for error in client.problems] == [ValueError]

    on_loop(main)


def test_message_is_sent_as_it_was_when_accepted():
    async def main():
        outbox, _, transport = made(window=1)
        outbox.moved(True)
        payload, bodies = bytearray(b"then"), []
        transport.send_message = lambda message: bodies.append(message.payload()) or Once()
        tasks = [asyncio.create_task(outbox.send_message(Message(payload)))]
        tasks += send(outbox, "a", "b")  # more than a window: all are kept
        await asyncio.gather(*tasks)
        payload[:] = b"late"
        assert bodies == [b"then"]

    on_loop(main)


def test_property_bag_too_large_for_any_transport_is_an_error():
    async def main():
        outbox, _, _ = made(limit=200000)
        message = Message("a")
        message.custom_properties = {"name": "x" * 65600}
        raises(ValueError, outbox.send_message, message)

    on_loop(main)


def test_message_in_flight_is_not_dropped():
    async def main():
        outbox, _, transport = made(limit=512, drop="newest")
        outbox.moved(False)
        kept = ["k" * 150, "l" * 150]
        for text in kept:
            await outbox.send_message(Message(text))
        outbox.moved(True)
        tasks = send(outbox, "a", "b", "c", "d", "e", "f", "g")
        await turns()
        assert transport.sent == kept + ["a", "b"]
        assert [task.done() for task in tasks] == [False, False] + [True] * 5
        assert outbox.dropped == 5
        await transport.answer(*kept)
        await transport.answer("a", "b")
        await tasks[0]
        await tasks[1]
        for task in tasks[2:]:
            assert isinstance(await failure(task), OutboxFullError)

    on_loop(main)


def test_memory_error_in_the_store_is_raised():
    async def main():
        outbox, client, _ = made()

        def append(pairs):
            raise MemoryError

        outbox._store.append = append
        outbox.moved(False)
        (task,) = send(outbox, "a")
        assert isinstance(await failure(task), MemoryError)
        assert len(outbox) == 0
        assert outbox.dropped == 1

    on_loop(main)


def test_unusual_properties_are_encoded_as_without_an_outbox():
    async def main():
        outbox, _, transport = made()
        bags = []
        transport.send_message = lambda message: bags.append(bag(message)) or coroutine(Once())
        message = Message("a", content_type="text/plain", message_id="7")
        message.creation_time_utc = "2001-02-03T04:05:06Z"
        message.custom_properties = {"$.x": "é", "": "", "%": None, "5": 5}
        expected = bag(message)
        outbox.moved(False)
        await outbox.send_message(message)
        outbox.moved(True)
        await turns()
        assert bags == [expected]

    def bag(message):
        return sorted(bytes(telemetry(b"", message)).split(b"&"))  # a dict has no order here

    on_loop(main)
