"""iothub.outbox between a program and a transport that do what the test says."""

import asyncio

from host_tests.support.raises import raises
from host_tests.support.tasks import turns
from iothub.compat import Future, as_coroutine
from iothub.errors import OperationTimeout, ServiceError
from iothub.messages import Message
from iothub.mqtt.properties import telemetry_topic
from iothub.outbox import Outbox, OutboxFullError
from iothub.ram_queue import RamQueue


class Flight(Future):
    """A message with the transport. A task that stops waiting for it withdraws it."""

    def __init__(self, withdraw):
        super().__init__()
        self.withdraw = withdraw

    def abandoned(self):
        self.withdraw()


class Transport:
    """A scripted transport: messages in flight, by their text."""

    def __init__(self):
        self.flying = {}
        self.sent = []
        self.times = {}

    def begin(self, message):
        return self.send_message(message)

    def send_message(self, message):
        text = bytes(message.payload()).decode()
        self.sent.append(text)
        self.times[text] = message.creation_time_utc
        flight = self.flying[text] = Flight(lambda: self.flying.pop(text))
        return as_coroutine(flight)

    async def sends(self, text):
        """Wait until `text` is sent again."""
        self.flying.pop(text, None)
        while text not in self.flying:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def answer(self, *texts):
        for text in texts:
            self.flying.pop(text).set_result()
        await turns()

    async def fail(self, text, error):
        self.flying.pop(text).set_exception(error)
        await turns()


def made(window=4, **settings):
    """(an Outbox that has started, what it has reported, its Transport)."""
    outbox, problems, transport = Outbox(**settings), [], Transport()
    options = {"qos": 1, "window": window}
    outbox.start(transport.begin, problems.append, options)
    return outbox, problems, transport


def put(outbox, message):
    """As the client does: what is to be awaited."""
    return as_coroutine(outbox.put(message))


def send(outbox, *texts):
    return [asyncio.create_task(put(outbox, Message(text))) for text in texts]


async def error_of(task):
    """The exception that it raises, or None."""
    try:
        await task
    except Exception as error:
        return error
    return None


def on_loop(main):
    return asyncio.run(asyncio.wait_for(main(), 20))


def test_message_is_removed_when_it_is_acknowledged():
    async def main():
        outbox, _, transport = made(window=2)
        outbox.on_state("connected")
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
        outbox.on_state("connected")
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
        outbox.on_state("connected")
        tasks = send(outbox, "a", "b", "c")
        await turns()
        await transport.answer("a")
        outbox.on_state("disconnected")
        await asyncio.gather(*tasks)
        assert len(outbox) == 2
        await turns()
        transport.sent = []
        outbox.on_state("connected")
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
            outbox.on_state("connected")
            tasks = send(outbox, "a", "b")
            for _ in range(turns_before):
                await asyncio.sleep(0)
            outbox.on_state("disconnected")
            await turns()
            assert transport.flying == {}, turns_before
            await asyncio.gather(*tasks)
            assert len(outbox) == 2

    on_loop(main)


def test_creation_time_of_the_program_is_kept():
    async def main():
        outbox, _, transport = made()
        message = Message("a", message_id="7", content_type="text/plain")
        message.to, message.ack, message.user_id = "there", "full", b"me"
        message.expiry_time_utc = "2030-01-02T03:04:05Z"
        message.creation_time_utc = "2001-02-03T04:05:06Z"
        message.custom_properties = {"é&=": "% ", "bare": None}
        seen = []
        transport.send_message = lambda message: seen.append(message) or as_coroutine(Future())
        outbox.on_state("disconnected")
        await put(outbox, message)
        outbox.on_state("connected")
        await turns()
        (sent,) = seen
        assert sent is not message
        assert sent.creation_time_utc == "2001-02-03T04:05:06Z"
        assert (sent.message_id, sent.content_type) == ("7", "text/plain")
        assert (sent.to, sent.ack, sent.user_id) == ("there", "full", "me")
        assert sent.expiry_time_utc == "2030-01-02T03:04:05Z"
        assert sent.custom_properties == {"é&=": "% ", "bare": None}

    on_loop(main)


def test_stored_messages_are_sent_before_new_ones():
    async def main():
        outbox, _, transport = made(window=1)
        outbox.on_state("disconnected")
        for text in ("a", "b"):
            await put(outbox, Message(text))
        outbox.on_state("connected")
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
            outbox.on_state("disconnected")
            refused = []
            for number in range(7):
                message = Message(str(number) + "x" * 17)
                message.creation_time_utc = "2001-02-03T04:05:06Z"
                try:
                    await put(outbox, message)
                except OutboxFullError as error:
                    assert error.stage == "outbox"
                    refused.append(str(number))
            assert refused == ([] if drop == "oldest" else ["4", "5", "6"])
            assert outbox.dropped == 3
            outbox.on_state("connected")
            await turns()
            assert [text[0] for text in transport.sent] == left

    on_loop(main)


def test_concurrent_messages_stay_within_the_limit():
    async def main():
        outbox, _, _ = made(limit=1024)
        outbox.on_state("disconnected")
        tasks = send(outbox, *[str(number) for number in range(10, 50)])
        await turns()
        failed = []
        for number in range(40):
            if await error_of(tasks[number]):
                failed.append(number)
        assert failed == list(range(outbox.dropped))
        assert 5 < len(outbox) == 40 - outbox.dropped < 16

    on_loop(main)


def test_failure_sends_all_messages_again_in_order():
    async def main():
        outbox, problems, transport = made(window=2)
        outbox.on_state("connected")
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
        assert problems == []

    on_loop(main)


def test_permanently_refused_message_does_not_block_the_others():
    async def main():
        outbox, problems, transport = made()
        outbox.on_state("disconnected")
        await put(outbox, Message("bad"))
        await put(outbox, Message("good"))
        outbox.on_state("connected")
        await turns()
        await transport.fail("bad", ServiceError("too large", "disposition", "amqp:not-allowed"))
        await transport.answer("good")
        assert len(outbox) == 0
        assert outbox.refused == 1
        assert [error.code for error in problems] == ["amqp:not-allowed"]

    on_loop(main)


def test_refusal_is_raised_in_an_awaiting_send():
    async def main():
        outbox, _, transport = made()
        outbox.on_state("connected")
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
        outbox.on_state("disconnected")
        await put(outbox, Message("a"))
        outbox.on_state("connected")
        await turns()
        busy = ServiceError("throttled", "disposition", "amqp:resource-limit-exceeded")
        await transport.fail("a", busy)
        await transport.sends("a")
        await transport.answer("a")
        assert len(outbox) == 0
        assert outbox.refused == 0

    on_loop(main)


def test_caller_mistakes_are_raised():
    outbox, problems, transport = made()
    send_message, qos_0 = transport.send_message, {"qos": 0, "window": 1}
    raises(ValueError, outbox.start, send_message, problems.append, qos_0)
    raises(ValueError, Outbox, None, 100)
    raises(ValueError, Outbox, None, None, "middle")

    async def main():
        error = raises(ValueError, outbox.put, Message("x" * 9000))
        assert "larger than the outbox" in str(error)
        raises(TypeError, outbox.put, Message(5))

    on_loop(main)


def test_unsendable_message_is_reported_and_skipped():
    async def main():
        outbox, problems, transport = made()
        outbox.on_state("connected")
        bad, good = send(outbox, "bad", "good")
        await turns()
        assert transport.sent == ["bad", "good"]
        await transport.fail("bad", ValueError("a symbol is ASCII"))
        await transport.answer("good")
        await good
        assert isinstance(await error_of(bad), ValueError)
        assert outbox.refused == 1
        assert [type(error) for error in problems] == [ValueError]

    on_loop(main)


def test_message_is_sent_as_it_was_when_accepted():
    async def main():
        outbox, _, transport = made(window=1)
        outbox.on_state("connected")
        payload, bodies = bytearray(b"then"), []
        transport.send_message = lambda message: (
            bodies.append(message.payload()) or as_coroutine(Future())
        )
        tasks = [asyncio.create_task(put(outbox, Message(payload)))]
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
        raises(ValueError, outbox.put, message)

    on_loop(main)


def test_message_in_flight_is_not_dropped():
    async def main():
        outbox, _, transport = made(limit=512, drop="newest")
        outbox.on_state("disconnected")
        kept = ["k" * 150, "l" * 150]
        for text in kept:
            await put(outbox, Message(text))
        outbox.on_state("connected")
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
            assert isinstance(await error_of(task), OutboxFullError)

    on_loop(main)


def test_without_memory_for_the_queue_nobody_waits_for_ever():
    async def main():
        outbox, problems, _ = made()
        outbox.on_state("disconnected")
        (task,) = send(outbox, "a")
        assert isinstance(await error_of(task), MemoryError)
        assert len(outbox) == 0
        assert outbox.dropped == 1
        assert [type(error) for error in problems] == [MemoryError]

    def append(self, pairs):
        raise MemoryError

    original, RamQueue.append = RamQueue.append, append
    try:
        on_loop(main)
    finally:
        RamQueue.append = original


def test_nothing_more_is_sent_once_it_is_paused():
    async def main():
        outbox, _, transport = made(window=2)
        outbox.on_state("connected")
        tasks = send(outbox, "a", "b", "c")
        await turns()
        outbox.on_state("stopping")
        await transport.answer("a", "b")
        assert transport.sent == ["a", "b"]
        outbox.on_state("disconnected")  # keeps the third
        await asyncio.gather(*tasks)
        assert outbox.status() == {"waiting": 1, "dropped": 0, "damaged": 0}
        outbox.on_state("connected")
        await turns()
        assert transport.sent == ["a", "b", "c"]

    on_loop(main)


def test_closed_outbox_sends_no_more_and_keeps_what_it_has():
    async def main():
        outbox, _, transport = made()
        outbox.on_state("disconnected")
        await put(outbox, Message("a"))
        outbox.on_state("connected")
        await turns()
        assert list(transport.flying) == ["a"]
        outbox.close()
        await turns()
        assert transport.flying == {}
        assert len(outbox) == 1
        problems, other = [], Transport()
        outbox.start(other.send_message, problems.append, {"qos": 1, "window": 4})
        outbox.on_state("connected")
        await turns()
        assert other.sent == ["a"]
        await other.answer("a")
        assert len(outbox) == 0
        assert problems == []

    on_loop(main)


def test_unusual_properties_are_encoded_as_without_an_outbox():
    async def main():
        outbox, _, transport = made()
        bags = []
        transport.send_message = lambda message: (
            bags.append(bag(message)) or as_coroutine(Future())
        )
        message = Message("a", content_type="text/plain", message_id="7")
        message.creation_time_utc = "2001-02-03T04:05:06Z"
        message.custom_properties = {"$.x": "é", "": "", "%": None, "5": 5}
        expected = bag(message)
        outbox.on_state("disconnected")
        await put(outbox, message)
        outbox.on_state("connected")
        await turns()
        assert bags == [expected]

    def bag(message):
        return sorted(bytes(telemetry_topic(b"", message)).split(b"&"))  # a dict has no order here

    on_loop(main)
