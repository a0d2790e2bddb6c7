"""iothub.outbox between a program and a transport that do what the test says."""

import asyncio
import os

from host_tests.support.folder import Folder
from host_tests.support.raises import raises
from host_tests.support.tasks import cancel, turns
from iothub.compat import Future, as_coroutine
from iothub.errors import OperationTimeout, ServiceError
from iothub.messages import Message
from iothub.mqtt.properties import telemetry_topic
from iothub.outbox import Outbox, OutboxError, OutboxFullError
from iothub.outbox.ram_queue import RamQueue

WINDOW_OF_1 = {"qos": 1, "window": 1}


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


def outbox_send(bodies):
    """Send by noting the body."""
    return lambda message: bodies.append(message.payload()) or as_coroutine(Future())


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


class Hub:
    """A hub that takes messages one by one, and closes the connection at some of them."""

    def __init__(self, closes_at=lambda text: False):
        self.closes_at = closes_at
        self.arrived = []
        self.connections = 0
        self._flying = []

    def send(self, message):
        flight = Flight(lambda: entry in self._flying and self._flying.remove(entry))
        entry = (bytes(message.payload()).decode(), flight)
        self._flying.append(entry)
        return as_coroutine(flight)

    def take(self):
        """What the hub has received next: its text, and its Flight."""
        return self._flying.pop(0)

    async def connect(self, outbox):
        """A connection, for as long as messages come: whether the hub has closed it."""
        self.connections += 1
        outbox.on_state("connecting")
        await turns()
        outbox.on_state("connected")
        await turns()
        while self._flying:
            text, flight = self._flying[0]
            if self.closes_at(text):
                outbox.on_state("waiting")
                await turns()
                return True
            del self._flying[0]
            self.arrived.append(text)
            flight.set_result()
            await turns()
        return False

    async def connect_until_it_lasts(self, outbox, limit=100):
        while await self.connect(outbox):
            assert self.connections < limit


async def kept_for(hub, *texts, window=4):
    """(an Outbox for that hub, with messages that it keeps, what it has reported)."""
    outbox, problems = Outbox(), []
    outbox.quiet = 0
    outbox.start(hub.send, problems.append, {"qos": 1, "window": window})
    outbox.on_state("waiting")
    for text in texts:
        await put(outbox, Message(text))
    return outbox, problems


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


def test_concurrent_messages_are_kept_in_turn_and_dropped_for_newer_ones():
    async def main():
        outbox, problems, transport = made(limit=1024, window=40)
        outbox.on_state("disconnected")
        texts = [str(number) for number in range(10, 50)]
        await asyncio.gather(*send(outbox, *texts))
        assert 5 < len(outbox) == 40 - outbox.dropped < 16
        outbox.on_state("connected")
        await turns()
        assert transport.sent == texts[outbox.dropped :]
        assert problems == []

    on_loop(main)


def test_concurrent_messages_wait_for_room_while_the_connection_stands():
    async def main(path, drop):
        outbox, problems, transport = made(window=4, path=path, drop=drop)
        outbox.on_state("connected")
        texts = [f"{number:02}" + "x" * 4000 for number in range(50)]
        tasks = send(outbox, *texts)
        for done in range(50):
            await turns()
            assert transport.sent == texts[: done + 4]
            assert len(outbox) == 50 - done
            assert path is None or os.listdir(path) == []
            await transport.answer(texts[done])
            assert [task.done() for task in tasks] == [True] * (done + 1) + [False] * (49 - done)
        await asyncio.gather(*tasks)
        assert (len(outbox), outbox.dropped, problems) == (0, 0, [])
        outbox.close()

    for drop in ("oldest", "newest"):
        on_loop(lambda drop=drop: main(None, drop))
        with Folder() as folder:
            on_loop(lambda drop=drop, path=folder.path: main(path, drop))


def test_lost_connection_keeps_what_waits_and_drops_the_oldest():
    async def main():
        outbox, problems, _ = made(window=4)  # 8 KB
        outbox.on_state("connected")
        tasks = send(outbox, *[f"{number:02}" + "x" * 2000 for number in range(50)])
        await turns()
        outbox.on_state("waiting")
        assert (len(outbox), outbox.dropped) == (3, 47)
        await asyncio.gather(*tasks)
        hub = Hub()
        outbox.start(hub.send, problems.append, {"qos": 1, "window": 4})
        assert not await hub.connect(outbox)
        assert [text[:2] for text in hub.arrived] == ["47", "48", "49"]
        assert problems == []

    on_loop(main)


def test_cancelled_sender_takes_its_message_back_until_it_is_sent():
    async def main():
        outbox, _, transport = made(window=1)
        outbox.on_state("connected")
        first, second, third = send(outbox, "a", "b", "c")
        await turns()
        await cancel(first)
        await cancel(second)
        assert len(outbox) == 2
        outbox.on_state("waiting")
        await third
        assert (len(outbox), outbox.dropped) == (2, 0)
        transport.sent = []
        outbox.on_state("connected")
        await turns()
        await transport.answer("a")
        await transport.answer("c")
        assert transport.sent == ["a", "c"]

    on_loop(main)


def test_message_of_a_cancelled_sender_is_kept_as_it_was():
    async def main():
        outbox, _, _ = made(window=1)
        outbox.on_state("connected")
        message = Message("then", message_id="1")
        task = asyncio.create_task(put(outbox, message))
        await turns()
        await cancel(task)
        message.data, message.message_id = "late", "2"
        outbox.on_state("waiting")
        seen = []
        outbox.start(lambda one: seen.append(one) or as_coroutine(Future()), None, WINDOW_OF_1)
        outbox.on_state("connected")
        await turns()
        assert [(one.data, one.message_id) for one in seen] == [(b"then", "1")]

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
        tasks = send(outbox, "first")
        tasks += [asyncio.create_task(put(outbox, Message(payload)))]
        await turns()
        payload[:] = b"late"
        outbox.on_state("waiting")
        await asyncio.gather(*tasks)
        outbox.on_state("connected")
        await turns()
        assert bodies == [b"first", b"first"]
        outbox.on_state("waiting")
        outbox.start(outbox_send(bodies), None, {"qos": 1, "window": 2})
        outbox.on_state("connected")
        await turns()
        assert bodies[2:] == [b"first", b"then"]

    on_loop(main)


def test_property_bag_too_large_for_any_transport_is_an_error():
    async def main():
        outbox, _, _ = made(limit=200000)
        message = Message("a")
        message.custom_properties = {"name": "x" * 65600}
        raises(ValueError, outbox.put, message)

    on_loop(main)


def test_what_has_no_room_is_refused_when_the_connection_is_lost():
    async def main():
        outbox, problems, transport = made(limit=512, drop="newest")
        outbox.on_state("disconnected")
        kept = ["k" * 150, "l" * 150]
        for text in kept:
            await put(outbox, Message(text))
        outbox.on_state("connected")
        tasks = send(outbox, "a", "b", "c", "d", "e", "f", "g")
        await turns()
        assert transport.sent == kept + ["a", "b"]
        assert [task.done() for task in tasks] == [False] * 7
        await transport.answer(kept[0])
        outbox.on_state("waiting")
        assert len(outbox) == 3
        assert outbox.dropped == 5
        await tasks[0]
        await tasks[1]
        for task in tasks[2:]:
            error = await error_of(task)
            assert isinstance(error, OutboxFullError)
            assert error.stage == "outbox"
        assert problems == []

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


def test_message_that_cannot_be_read_for_want_of_heap_is_not_passed_over():
    async def main():
        outbox, problems, transport = made()
        outbox.on_state("waiting")
        for text in ("a", "b", "c"):
            await put(outbox, Message(text))
        outbox.on_state("connected")
        while "c" not in transport.flying:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert transport.sent == ["a", "b", "c"]
        assert [type(error) for error in problems] == [MemoryError]
        await transport.answer("a", "b", "c")
        assert len(outbox) == 0

    def next(self):
        record = original(self)
        if record is not None and record[0] == 1 and not failed:
            failed.append(record)
            raise MemoryError
        return record

    failed = []
    original, RamQueue.next = RamQueue.next, next
    try:
        on_loop(main)
    finally:
        RamQueue.next = original


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


# -- a message at which the hub closes the connection ---------------------------------------------


def poison(text):
    return "poison" in text


def test_message_at_which_the_hub_closes_is_given_up_and_others_go_on():
    async def main():
        for before in range(4):
            hub = Hub(poison)
            texts = ["a", "b", "c", "d", "e", "f"]
            texts.insert(before, "poison")
            outbox, problems = await kept_for(hub, *texts)
            await hub.connect_until_it_lasts(outbox)
            # In order, but for the one that shows that the hub takes messages.
            assert hub.arrived == ["a", "b", "c", "d", "e", "f"]
            assert (len(outbox), outbox.refused, outbox.dropped) == (0, 1, 0)
            (error,) = problems
            assert isinstance(error, OutboxError)
            assert error.stage == "outbox"
            assert "6 bytes" in str(error)
            assert "poison" not in str(error)
            assert 6 < hub.connections < 10

    on_loop(main)


def test_adjacent_messages_at_which_the_hub_closes_are_given_up():
    async def main():
        hub = Hub(poison)
        outbox, problems = await kept_for(hub, "a", "poison 1", "poison 2", "poison 3", "b", "c")
        await hub.connect_until_it_lasts(outbox)
        assert hub.arrived[0] == "a"
        assert set(hub.arrived) == {"a", "b", "c"}
        assert (len(outbox), outbox.refused, len(problems)) == (0, 3, 3)

    on_loop(main)


def test_window_of_one_gives_up_a_message_too():
    async def main():
        hub = Hub(poison)
        outbox, _ = await kept_for(hub, "poison", "a", "b", window=1)
        await hub.connect_until_it_lasts(outbox)
        assert hub.arrived == ["a", "b"]
        assert outbox.refused == 1

    on_loop(main)


def test_suspected_message_that_is_alone_waits_for_another():
    async def main():
        hub = Hub(poison)
        outbox, problems = await kept_for(hub, "poison")
        await hub.connect_until_it_lasts(outbox)  # it blocks no other, and the connection stands
        assert (len(outbox), outbox.refused) == (1, 0)
        (task,) = send(outbox, "a")
        assert not await hub_goes_on(hub, outbox, task)
        assert hub.arrived == ["a"]
        assert (len(outbox), outbox.refused, len(problems)) == (0, 1, 1)

    async def hub_goes_on(hub, outbox, task):
        await turns()
        text, flight = hub.take()
        assert text == "a"
        hub.arrived.append(text)
        flight.set_result()
        await turns()
        assert hub.take()[0] == "poison"
        outbox.on_state("waiting")
        await task
        return await hub.connect(outbox)

    on_loop(main)


def test_link_that_is_cut_after_each_connack_loses_nothing():
    async def main():
        hub = Hub()
        texts = [str(number) for number in range(9)]
        outbox, problems = await kept_for(hub, *texts)
        outbox.quiet = 60
        for count in range(200):
            outbox.on_state("connecting")
            if count % 2:
                await turns()
            outbox.on_state("connected")
            if count % 3:
                await turns()
            outbox.on_state("waiting")
            await turns()
        assert (len(outbox), hub.arrived) == (9, [])
        while not hub.arrived:
            assert not await hub.connect(outbox)
            if not hub.arrived:  # it would send them once this connection has stood for a while
                outbox.on_state("waiting")
        assert hub.arrived == texts
        assert (len(outbox), outbox.refused, outbox.dropped, problems) == (0, 0, 0, [])

    on_loop(main)


def test_hub_that_closes_at_every_message_loses_nothing():
    async def main():
        for connections in range(1, 30):
            hub = Hub(lambda text: True)
            texts = [str(number) for number in range(9)]
            outbox, problems = await kept_for(hub, *texts)
            for _ in range(connections):
                assert await hub.connect(outbox)
            hub.closes_at = lambda text: False
            assert not await hub.connect(outbox)
            assert sorted(hub.arrived) == texts
            assert (len(outbox), outbox.refused, outbox.dropped, problems) == (0, 0, 0, [])

    on_loop(main)


def test_outage_and_disconnect_are_no_losses_at_a_message():
    async def main():
        hub = Hub()
        outbox, _ = await kept_for(hub, "a", "b")
        for _ in range(50):
            outbox.on_state("connecting")
            await turns()
            outbox.on_state("waiting")
            await turns()
        for _ in range(50):
            outbox.on_state("connecting")
            await turns()
            outbox.on_state("connected")
            await turns()
            outbox.on_state("stopping")
            outbox.on_state("disconnected")
            await turns()
        assert not await hub.connect(outbox)
        assert hub.arrived == ["a", "b"]
        assert outbox.refused == 0

    on_loop(main)


# -- the folder -----------------------------------------------------------------------------------


async def kept_in(path, *texts, **settings):
    """An Outbox in flash, without a connection, that keeps these, and what it has reported."""
    outbox, problems, _ = made(path=path, **settings)
    outbox.on_state("waiting")
    for text in texts:
        await put(outbox, Message(text))
    return outbox, problems


def test_second_outbox_on_a_folder_is_refused_until_the_first_is_closed():
    async def main():
        with Folder() as folder:
            first, _ = await kept_in(folder.path, "a")
            for path in (folder.path, folder.path + "/", folder.path + "/../" + folder.name):
                error = raises(ValueError, Outbox, path)
                assert folder.path in str(error)
            first.close()
            hub = Hub()
            second = Outbox(folder.path + "/")
            assert len(second) == 1
            raises(ValueError, first.start, hub.send, None, WINDOW_OF_1)
            assert isinstance(raises(OSError, first.put, Message("b")), OutboxError)
            second.on_state("waiting")
            await put(second, Message("c"))
            second.close()
            first.start(hub.send, None, WINDOW_OF_1)  # it finds what the other one has kept
            raises(ValueError, second.start, hub.send, None, WINDOW_OF_1)
            assert not await hub.connect(first)
            assert hub.arrived == ["a", "c"]
            first.close()

    on_loop(main)


def test_closed_outbox_keeps_what_is_on_its_way():
    async def main():
        with Folder() as folder:
            outbox, _, _ = made(path=folder.path, window=1)
            outbox.on_state("connected")
            tasks = send(outbox, "a", "b")
            await turns()
            outbox.close()
            await asyncio.gather(*tasks)
            again = Outbox(folder.path)
            assert len(again) == 2
            again.close()

    on_loop(main)


def test_removed_folder_is_made_again_and_len_says_what_is_there():
    async def main():
        with Folder() as folder:
            outbox, problems = await kept_in(folder.path, "a", "b", "c")
            folder.remove()
            assert (len(outbox), outbox.dropped) == (0, 3)
            await put(outbox, Message("d"))
            assert (len(outbox), outbox.dropped) == (1, 3)
            folder.remove()
            await put(outbox, Message("e"))
            assert (len(outbox), outbox.dropped) == (1, 4)
            hub = Hub()
            outbox.start(hub.send, problems.append, WINDOW_OF_1)
            assert not await hub.connect(outbox)
            assert hub.arrived == ["e"]
            assert (len(outbox), outbox.dropped, problems) == (0, 4, [])
            outbox.close()

    on_loop(main)


def test_message_that_arrives_though_its_folder_was_removed_is_not_dropped():
    async def main():
        with Folder() as folder:
            outbox, _ = await kept_in(folder.path, "a", "b", "c")
            transport = Transport()
            outbox.start(transport.send_message, None, {"qos": 1, "window": 2})
            outbox.on_state("connected")
            await turns()
            folder.remove()
            assert (len(outbox), outbox.dropped) == (2, 1)
            await transport.answer("a", "b")
            assert (len(outbox), outbox.dropped) == (0, 1)
            outbox.close()

    on_loop(main)


def test_folder_that_cannot_be_written_is_an_error_of_the_outbox():
    async def main():
        with Folder() as folder:
            outbox, problems = await kept_in(folder.path, "a")
            folder.remove()
            folder.put_file_in_its_place()
            tasks = send(outbox, "b", "c")
            for task in tasks:
                error = await error_of(task)
                assert isinstance(error, OutboxError)
                assert not isinstance(error, OutboxFullError)
                assert error.stage == "outbox"
                assert folder.path in str(error)
            assert [type(error) for error in problems] == [OutboxError]
            assert (len(outbox), outbox.dropped) == (0, 3)
            folder.remove()
            await put(outbox, Message("d"))
            assert (len(outbox), outbox.dropped) == (1, 3)
            outbox.close()

    on_loop(main)


def test_full_flash_counts_exactly_what_was_lost():
    async def main(drop, expected):
        with Folder() as folder:
            # Files of an eighth of the limit; the third, and the one after it, cannot be written.
            outbox, problems = await kept_in(folder.path, limit=4096, drop=drop)
            for number in (3, 4):
                folder.full(f"0000000{number}.log")
            refused = []
            for number in range(8):
                try:
                    await put(outbox, Message(str(number) + "x" * 240))
                except OutboxFullError:
                    refused.append(number)
            left = [number for number in range(8) if number not in refused]
            hub = Hub()
            outbox.start(hub.send, problems.append, WINDOW_OF_1)
            waiting = len(outbox)
            assert not await hub.connect(outbox)
            arrived = [int(text[0]) for text in hub.arrived]
            assert (refused, arrived) == expected
            assert len(arrived) == waiting == 8 - outbox.dropped
            assert set(arrived) <= set(left)
            assert problems == []
            outbox.close()

    # Two files of two messages each are kept when the third cannot be begun.
    for drop, expected in (
        ("newest", ([4, 5], [0, 1, 2, 3, 6, 7])),
        ("oldest", ([], [4, 5, 6, 7])),
    ):
        on_loop(lambda drop=drop, expected=expected: main(drop, expected))


def test_message_that_cannot_be_read_again_is_counted():
    async def main():
        with Folder() as folder:
            outbox, _ = await kept_in(folder.path, limit=4096)
            for number in range(6):
                await put(outbox, Message(str(number) + "x" * 400))
            os.remove(folder.path + "/00000002.log")
            assert (len(outbox), outbox.dropped) == (4, 2)
            hub = Hub()
            outbox.start(hub.send, None, {"qos": 1, "window": 4})
            assert not await hub.connect(outbox)
            assert [text[0] for text in hub.arrived] == ["0", "1", "4", "5"]
            assert (len(outbox), outbox.dropped) == (0, 2)
            outbox.close()

    on_loop(main)


def test_status_tells_how_many_bytes_in_flash_were_damaged():
    with Folder() as folder:

        async def main():
            outbox, _, _ = made(path=folder.path)
            outbox.on_state("disconnected")
            await put(outbox, Message("whole"))
            outbox.close()

        on_loop(main)
        (name,) = folder.names()
        with open(folder.path + "/" + name, "ab") as file:
            file.write(b"torn")
        again = Outbox(folder.path)
        assert len(again) == 1
        assert again.damaged == again.status()["damaged"] == 4
        again.close()
