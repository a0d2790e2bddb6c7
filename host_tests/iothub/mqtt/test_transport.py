"""iothub.mqtt.transport over streams in memory: what leaves in which order, byte for byte."""

import asyncio

from host_tests.support.memory_mqtt import MQTTHubStream
from host_tests.support.memory_stream import MemoryStream
from host_tests.support.tasks import cancel, failure, turns
from iothub.compat import Future, ticks_ms, unix_time
from iothub.credentials import Credentials
from iothub.dispatcher import Dispatcher
from iothub.errors import (
    ConnectionDroppedError,
    ConnectionFailedError,
    CredentialError,
    OperationCancelled,
    OperationTimeout,
    ServiceError,
)
from iothub.failures import OversizedError
from iothub.messages import Message
from iothub.mqtt.packets import write_connect, write_publish, write_subscribe
from iothub.mqtt.transport import MQTTTransport
from iothub.options import checked
from iothub.sas import sas_token

OWN = "devices/d/"
FILTERS = {
    "messages": (OWN + "messages/devicebound/#", 1),
    "methods": ("$iothub/methods/POST/#", 0),
    "twin": ("$iothub/twin/res/#", 0),
    "desired": ("$iothub/twin/PATCH/properties/desired/#", 0),
}
CONNACK, PRESENT = b"\x20\x02\x00\x00", b"\x20\x02\x01\x00"
GET, REPORT = "$iothub/twin/GET/?$rid=", "$iothub/twin/PATCH/properties/reported/?$rid="


def token(life=3600):
    return sas_token("h/devices/d", "A" * 43 + "=", unix_time() + life)


def connect(password=None, will=None):
    out = bytearray()
    fields = [b"d"]
    if will is not None:
        fields += will
    fields.append(b"h/d/?api-version=2021-04-12")
    if password:
        fields.append(password.encode())
    flags = (0x0C if will else 0) | (0xC0 if password else 0x80)
    write_connect(out, flags, 60, fields)
    return bytes(out)


def subscribe(pid, feature):
    out = bytearray()
    name, qos = FILTERS[feature]
    write_subscribe(out, pid, name.encode(), qos)
    return bytes(out)


def publish(topic, body=b"", pid=0, dup=False):
    out = bytearray()
    write_publish(out, (0x3A if dup else 0x32) if pid else 0x30, topic.encode(), body, pid)
    return bytes(out)


def telemetry(body, pid, dup=False):
    return publish(OWN + "messages/events/", body, pid, dup)


def c2d(body, pid, dup=False):
    return publish(OWN + "messages/devicebound/", body, pid, dup)


def suback(pid, code=0):
    return bytes((0x90, 3, 0, pid, code))


def puback(pid):
    return bytes((0x40, 2, 0, pid))


DISCONNECT, PINGREQ = b"\xe0\x00", b"\xc0\x00"
WILL = [b"devices/d/messages/events/", b"gone"]


class Transport(MQTTTransport):
    """Its streams are in memory: `dials` has what the next dial() calls give, or raise."""

    def __init__(self, *arguments):
        self.dials = []
        self.streams = []
        super().__init__(*arguments)

    async def dial(self):
        outcome = self.dials.pop(0) if self.dials else None
        if isinstance(outcome, Future):
            outcome = await outcome
        if isinstance(outcome, Exception):
            raise outcome
        self.streams.append(outcome or MemoryStream())
        return self.streams[-1]


class Scene:
    def __init__(self, sastoken=None, module_id=None, **options):
        credentials = Credentials("h", "d", module_id, sastoken=sastoken, x509=sastoken is None)
        self.options = checked(options)
        self.dispatcher = Dispatcher(self.options)
        self.transport = self.dispatcher.transport = Transport(
            credentials, self.dispatcher, self.options, None
        )
        self.problems = []
        self.dispatcher.set_handler("on_background_exception", self.problems.append)
        self.rid = None

    @property
    def stream(self):
        """The one that was dialled last."""
        return self.transport.streams[-1]

    def wants(self, *features, read_twin=False):
        return lambda: (list(features), read_twin)

    async def open(self, *features, connack=CONNACK, read_twin=False):
        """Connect; the hub grants what is asked for."""
        task = asyncio.create_task(self.transport.open(self.wants(*features, read_twin=read_twin)))
        await turns(5)
        password = self.transport.token()
        flight = connect(password, WILL if self.options["will"] else None)
        for number, feature in enumerate(features):
            flight += subscribe(number + 1, feature)
        await self.stream.has_written(flight)
        self.stream.send(connack + b"".join([suback(i + 1) for i in range(len(features))]))
        return await task

    async def request(self, start, body=b""):
        """A twin request that is written: its rid."""
        written = bytes(self.stream.written)
        at = written.find(start.encode()) + len(start)
        assert at >= len(start), written
        rid = written[at:]
        for end in range(1, len(rid) + 1):
            packet = publish(start + rid[:end].decode(), body)
            if written.endswith(packet):
                self.stream.written[:] = written[: -len(packet)]
                return rid[:end].decode()
        raise AssertionError(written)

    def answer(self, stream, rid, body=b"{}", status=200):
        stream.send(publish(f"$iothub/twin/res/{status}/?$rid={rid}&$version=3", body))


def scene(test, **settings):
    async def main():
        one = Scene(**settings)
        await test(one)
        await one.transport.close()
        for stream in one.transport.streams:
            assert stream.closed

    asyncio.run(asyncio.wait_for(main(), 20))


# -- the first flight ---------------------------------------------------------------------------


def test_all_leaves_in_one_flight():
    async def test(one):
        sending = asyncio.create_task(one.transport.send_message(Message("early")))
        task = asyncio.create_task(
            one.transport.open(one.wants("messages", "methods", "desired", "twin", read_twin=True))
        )
        await turns()
        assert len(one.stream.writes) == 1
        flight = connect(one.transport.token())
        for number, feature in enumerate(("messages", "methods", "desired", "twin")):
            flight += subscribe(number + 1, feature)
        assert one.stream.writes[0].startswith(flight)
        rest = one.stream.writes[0][len(flight) :]
        tail = telemetry(b"early", 5)
        assert rest.endswith(tail)
        one.stream.written[:] = rest[: -len(tail)]
        rid = await one.request(GET)
        assert one.stream.written == b""
        one.stream.send(CONNACK + suback(1, 1) + suback(2) + suback(3) + suback(4))
        twin = await task
        assert one.transport.is_open()
        assert not twin.done()
        one.answer(one.stream, rid, b'{"a": 1}')
        assert await twin == (b'{"a": 1}', 3)
        one.stream.send(puback(5))
        await sending

    scene(test, sastoken=token())


def test_topics_of_a_device_and_of_a_module():
    for module_id, start in ((None, "devices/d/"), ("m", "devices/d/modules/m/")):

        async def test(one, start=start):
            opening = asyncio.create_task(one.transport.open(one.wants("messages")))
            await turns()
            filters = {None: "messages/devicebound/#", "m": "#"}
            out = bytearray()
            module = one.transport.credentials.module_id
            write_subscribe(out, 1, (start + filters[module]).encode(), 1)
            assert one.stream.writes[0].endswith(bytes(out))
            one.stream.send(CONNACK + suback(1, 1))
            await opening
            one.stream.written[:] = b""
            message = Message("x", message_id="7")
            sending = asyncio.create_task(one.transport.send_message(message))
            await one.stream.has_written(publish(start + "messages/events/%24.mid=7", b"x", 2))
            one.stream.send(puback(2))
            await sending

        scene(test, module_id=module_id)


def test_will_is_told_with_connect():
    async def test(one):
        task = asyncio.create_task(one.transport.open(one.wants()))
        await turns()
        will = [b"devices/d/messages/events/%24.ct=a", b"gone"]
        await one.stream.has_written(connect(None, will))
        one.stream.send(CONNACK)
        await task

    scene(test, will=Message("gone", content_type="a"))


def test_without_telemetry_and_features_only_connect_leaves():
    async def test(one):
        assert await one.open() is None
        await turns()
        assert one.stream.written == b""
        assert len(one.transport.pending) == 0

    scene(test)


def test_failures_of_an_attempt():
    for answer, kind, stage in (
        (b"\x20\x02\x00\x05", CredentialError, "connack"),
        (b"\x20\x02\x00\x03", ConnectionFailedError, "connack"),
        (CONNACK + suback(1, 0x80), ServiceError, "subscribe"),
        (CONNACK + b"\xff", ConnectionDroppedError, "read"),
        (b"", ConnectionDroppedError, "read"),
    ):

        async def test(one, answer=answer, kind=kind, stage=stage):
            task = asyncio.create_task(one.transport.open(one.wants("messages")))
            await turns(5)
            one.stream.send(answer)
            error = await failure(task)
            assert isinstance(error, kind)
            assert error.stage == stage
            assert one.stream.closed
            assert not one.transport.is_open()
            one.problems.clear()
            await one.open("messages")  # asked for again, since it was not granted

        scene(test)


def test_hub_that_grants_nothing_in_time():
    async def test(one):
        task = asyncio.create_task(one.transport.open(one.wants("messages")))
        await turns(5)
        one.stream.send(CONNACK)
        error = await failure(task)
        assert isinstance(error, OperationTimeout)
        assert error.stage == "subscribe"
        assert one.stream.closed

    scene(test, timeout=0.05)


def test_attempt_that_is_cancelled_is_closed():
    async def test(one):
        for reached in range(3):
            if reached == 0:
                one.transport.dials = [Future()]
            task = asyncio.create_task(one.transport.open(one.wants("messages")))
            await turns()
            if reached == 2:
                one.stream.send(CONNACK)
                await turns()
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            await turns()
            assert not one.transport.is_open()
            for stream in one.transport.streams:
                assert stream.closed

    scene(test)


def test_what_is_granted_is_not_asked_for_again_while_the_session_is_kept():
    async def test(one):
        await one.open("messages", "twin")
        one.stream.end()
        assert isinstance(await one.transport.wait_closed(), ConnectionDroppedError)
        task = asyncio.create_task(one.transport.open(one.wants("messages", "twin")))
        await turns(5)
        await one.stream.has_written(connect())
        one.stream.send(PRESENT)
        await task
        await turns()
        assert one.stream.written == b""

    scene(test)


def test_session_that_is_lost_is_subscribed_again():
    async def test(one):
        await one.open("twin", read_twin=False)
        one.stream.end()
        await one.transport.wait_closed()
        task = asyncio.create_task(one.transport.open(one.wants("twin", read_twin=True)))
        await turns(5)
        first = await one.request(GET)
        await one.stream.has_written(connect())
        one.stream.send(CONNACK)
        await turns()
        second = await one.request(GET)  # asked once more: the first may not be answered
        assert first != second
        await one.stream.has_written(subscribe(1, "twin"))
        one.stream.send(suback(1))
        twin = await task
        one.answer(one.stream, second)
        assert await twin == (b"{}", 3)

    scene(test)


# -- while it stands ----------------------------------------------------------------------------


def test_twin_request_subscribes_first():
    async def test(one):
        await one.open()
        for body, start in ((None, GET), (b'{"a": 1}', REPORT)):
            task = asyncio.create_task(one.transport.request_twin(body))
            await turns()
            rid = await one.request(start, body or b"")
            if body is None:
                await one.stream.has_written(subscribe(1, "twin"))
                one.stream.send(suback(1))
            assert one.stream.written == b""
            await turns()
            one.answer(one.stream, "other", b"no")
            await turns()
            assert not task.done()
            one.answer(one.stream, rid, b"yes")
            assert await task == (b"yes", 3)

    scene(test)


def test_twin_request_that_is_refused_or_never_answered():
    async def test(one):
        await one.open("twin")
        task = asyncio.create_task(one.transport.request_twin())
        await turns()
        one.answer(one.stream, await one.request(GET), status=429)
        error = await failure(task)
        assert isinstance(error, ServiceError)
        assert (error.stage, error.code) == ("twin", 429)
        error = await failure(one.transport.request_twin())
        assert isinstance(error, OperationTimeout)
        assert error.stage == "twin"
        assert one.transport.target.requests == {}

    scene(test, timeout=0.05)


def test_requests_of_a_connection_that_ends_are_dropped():
    async def test(one):
        await one.open("twin")
        task = asyncio.create_task(one.transport.request_twin())
        enabling = asyncio.create_task(one.transport.enable("methods"))
        await turns()
        one.stream.end()
        for failed in (task, enabling):
            assert isinstance(await failure(failed), ConnectionDroppedError)
        await one.transport.wait_closed()
        error = await failure(one.transport.request_twin())
        assert isinstance(error, ConnectionDroppedError)

    scene(test)


def test_feature_is_enabled_while_it_stands():
    async def test(one):
        await one.open()
        task = asyncio.create_task(one.transport.enable("methods"))
        await one.stream.has_written(subscribe(1, "methods"))
        assert not task.done()
        one.stream.send(suback(1))
        await task
        await one.transport.enable("methods")  # it is there

    scene(test)


def test_feature_that_is_enabled_while_it_dials_slowly_has_a_deadline_of_its_own():
    async def test(one):
        gate = Future()
        one.transport.dials = [gate]
        task = asyncio.create_task(one.transport.open(one.wants("messages")))
        await turns()
        await one.transport.enable("methods")  # open() waits for the hub's answer
        await asyncio.sleep(0.15)  # more than the timeout
        gate.set_result()
        await turns()
        await one.stream.has_written(
            connect() + subscribe(1, "messages") + subscribe(2, "methods")
        )
        one.stream.send(CONNACK + suback(1, 1))
        await turns()
        assert not task.done()
        one.stream.send(suback(2))
        await task
        await one.transport.enable("methods")  # it is there
        await turns()
        assert one.stream.written == b""

    scene(test, timeout=0.1)


def test_feature_that_is_enabled_while_it_connects_and_is_not_granted():
    async def test(one):
        task = asyncio.create_task(one.transport.open(one.wants()))
        await turns()
        await one.transport.enable("methods")
        one.stream.send(CONNACK)
        await one.stream.has_written(connect() + subscribe(1, "methods"))
        one.stream.send(suback(1, 0x80))
        error = await failure(task)
        assert isinstance(error, ServiceError)
        assert error.stage == "subscribe"

    scene(test)


def test_message_is_acknowledged_as_its_outcome_says():
    async def test(one):
        await one.open("messages")
        outcomes = {b"good": "complete", b"bad": "reject", b"later": "abandon"}

        def on_message(message):
            message.outcome = outcomes[message.data]

        one.dispatcher.set_handler("on_message_received", on_message)
        for pid, body in enumerate(outcomes):
            one.stream.send(c2d(body, pid + 1))
        await turns(50)
        expected = b"".join([puback(i + 1) for i, body in enumerate(outcomes) if body != b"later"])
        assert bytes(one.stream.written) == expected
        assert one.dispatcher.handled == 3

    scene(test)


def test_what_nobody_understands_is_reported_and_acknowledged():
    async def test(one):
        await one.open()
        one.stream.send(publish("devices/other/messages/devicebound/", b"x", 7))
        await turns()
        assert [type(error) for error in one.problems] == [ValueError]
        assert one.stream.written == b""  # it was not dealt with
        assert one.transport.is_open()

    scene(test)


def test_methods_are_answered():
    async def test(one):
        await one.open("methods")
        one.dispatcher.set_handler("on_method_request_received", lambda request: (201, "ok"))
        one.stream.send(publish("$iothub/methods/POST/name/?$rid=a1", b"{}"))
        await one.stream.has_written(publish("$iothub/methods/res/201/?$rid=a1", b'"ok"'))

    scene(test)


def test_what_is_too_large():
    async def test(one):
        await one.open("messages", "twin")
        twin = asyncio.create_task(one.transport.request_twin())
        await turns()
        rid = await one.request(GET)
        body = bytes(300)
        one.stream.send(c2d(body, 3))
        one.stream.send(publish("$iothub/methods/POST/name/?$rid=a1", body))
        one.stream.send(publish("$iothub/twin/PATCH/properties/desired/?$version=2", body))
        one.answer(one.stream, rid, body)
        error = await failure(twin)
        assert isinstance(error, OversizedError)
        assert error.stage == "twin"
        await one.stream.has_written(publish("$iothub/methods/res/413/?$rid=a1"))
        assert sorted([error.stage for error in one.problems]) == ["desired", "message", "method"]
        assert one.dispatcher.dropped == 1

    scene(test, max_inbound=200)


def test_qos_0_leaves_at_once_or_not_at_all():
    async def test(one):
        error = None
        try:
            one.transport.send_message(Message("early"))
        except ConnectionDroppedError as raised:
            error = raised
        assert error.stage == "write"
        await one.open()
        await one.transport.send_message(Message("x"))
        await one.stream.has_written(publish("devices/d/messages/events/", b"x"))
        assert len(one.transport.pending) == 0

    scene(test, qos=0)


def test_telemetry_waits_for_the_next_connection():
    async def test(one):
        await one.open()
        sendings = [
            asyncio.create_task(one.transport.send_message(Message(text))) for text in ("a", "b")
        ]
        await one.stream.has_written(telemetry(b"a", 1) + telemetry(b"b", 2))
        one.stream.send(puback(1))
        await sendings[0]
        one.stream.end()
        await one.transport.wait_closed()
        sendings.append(asyncio.create_task(one.transport.send_message(Message("c"))))
        await turns()
        task = asyncio.create_task(one.transport.open(one.wants()))
        await turns(5)
        # It leaves with CONNECT, in one flight, marked as a duplicate.
        await one.stream.has_written(connect() + telemetry(b"b", 2, dup=True) + telemetry(b"c", 1))
        one.stream.send(PRESENT + puback(1) + puback(2))
        await task
        for sending in sendings:
            await sending
        assert len(one.transport.pending) == 0

    scene(test)


def test_connection_that_has_ended_takes_no_more_telemetry():
    """Its tasks may be woken before it is released."""

    async def test(one):
        await one.open()
        await turns()
        one.transport.connection.abort(OperationTimeout("late", "ping"))
        sending = asyncio.create_task(one.transport.send_message(Message("a")))
        one.stream.send(b"\xd0\x00")
        await turns()
        assert one.stream.written == b""
        await one.transport.wait_closed()
        task = asyncio.create_task(one.transport.open(one.wants()))
        await turns(5)
        await one.stream.has_written(connect() + telemetry(b"a", 1))
        one.stream.send(PRESENT + puback(1))
        await task
        await sending

    scene(test)


# -- deadlines ----------------------------------------------------------------------------------


def test_tick_pings_and_ends_a_connection_that_does_not_answer():
    async def test(one):
        await one.open()
        now = ticks_ms()
        one.transport.tick(now)
        await turns()
        assert one.stream.written == b""
        one.transport.tick(now + 46000)
        await one.stream.has_written(PINGREQ)
        one.transport.tick(now + 46000 + 19000)
        assert one.transport.is_open()
        one.transport.tick(now + 46000 + 21000)
        error = await one.transport.wait_closed()
        assert isinstance(error, OperationTimeout)
        assert error.stage == "ping"

    scene(test)


def test_tick_ends_a_connection_without_pubacks_and_fails_what_waits_too_long():
    async def test(one):
        await one.open()
        sending = asyncio.create_task(one.transport.send_message(Message("a")))
        await turns()
        now = ticks_ms()
        one.transport.tick(now)
        one.transport.tick(now + 21000)
        error = await one.transport.wait_closed()
        assert (type(error), error.stage) == (OperationTimeout, "puback")
        assert not sending.done()
        one.transport.tick(now + 100000)
        await turns()
        assert not sending.done()
        one.transport.tick(now + 121000)
        error = await failure(sending)
        assert (type(error), error.stage) == (OperationTimeout, "puback")

    scene(test)


# -- the end ------------------------------------------------------------------------------------


def test_close_waits_for_pubacks_and_says_good_bye():
    async def test(one):
        await one.open()
        sending = asyncio.create_task(one.transport.send_message(Message("a")))
        await one.stream.has_written(telemetry(b"a", 1))
        closing = asyncio.create_task(one.transport.close())
        await turns()
        assert not closing.done()
        assert not one.stream.closed
        one.stream.send(puback(1))
        await closing
        await sending
        assert bytes(one.stream.written) == DISCONNECT
        assert one.problems == []

    scene(test)


def test_close_with_what_is_never_acknowledged():
    async def test(one):
        await one.open()
        sending = asyncio.create_task(one.transport.send_message(Message("a")))
        await turns()
        await one.transport.close()
        error = await failure(sending)
        assert isinstance(error, OperationCancelled)
        # Without DISCONNECT the hub would publish a will.
        assert bytes(one.stream.written) == telemetry(b"a", 1) + DISCONNECT
        assert one.stream.closed
        await turns()
        assert [error.stage for error in one.problems] == ["disconnect"]

    scene(test, timeout=0.05)


def test_close_without_a_connection_fails_what_waits():
    async def test(one):
        sending = asyncio.create_task(one.transport.send_message(Message("a")))
        await turns()
        await one.transport.close()
        assert isinstance(await failure(sending), OperationCancelled)

    scene(test)


# -- another token ------------------------------------------------------------------------------


async def renewed(one, second, connack=PRESENT):
    """Renew with the token `second`; (the task, the old stream, the new one)."""
    old = one.stream
    one.transport.credentials.sastoken = second
    task = asyncio.create_task(one.transport.renew())
    await turns(5)
    assert one.stream is not old
    await one.stream.has_written(connect(second))
    if connack is not None:
        one.stream.send(connack)
        await turns()
    return task, old, one.stream


def test_renewal_goes_over_to_another_connection():
    async def test(one):
        await one.open("messages")
        waiting = asyncio.create_task(one.transport.wait_closed())
        second = token(7200)
        task, old, new = await renewed(one, second)
        old.end()
        await task
        assert one.transport.connection.token == second
        assert one.transport.is_open()
        assert old.closed and not new.closed
        await turns()
        assert not waiting.done()
        sending = asyncio.create_task(one.transport.send_message(Message("a")))
        await new.has_written(telemetry(b"a", 1))
        new.send(puback(1))
        await sending
        new.end()
        assert isinstance(await waiting, ConnectionDroppedError)

    scene(test, sastoken=token())


def test_message_that_comes_again_on_the_new_connection_is_handled():
    async def test(one):
        await one.open("messages")
        seen, gate = [], Future()

        async def on_message(message):
            seen.append(message.data)
            if len(seen) == 1:
                await gate

        one.dispatcher.set_handler("on_message_received", on_message)
        one.stream.send(c2d(b"one", 1) + c2d(b"two", 2))
        await turns()
        assert seen == [b"one"]
        task, old, new = await renewed(one, token(7200))
        # The session is kept: the hub sends again what is not acknowledged.
        new.send(c2d(b"one", 1, dup=True) + c2d(b"two", 2, dup=True))
        await turns()
        old.end()
        await task
        gate.set_result()
        await turns(50)
        assert seen == [b"one", b"one", b"two"]
        await new.has_written(puback(1) + puback(2))
        assert old.written == b""

    scene(test, sastoken=token())


def test_twin_answer_that_still_comes_on_the_old_connection_is_taken():
    async def test(one):
        await one.open("twin")
        asking = asyncio.create_task(one.transport.request_twin())
        await turns()
        rid = await one.request(GET)
        task, old, new = await renewed(one, token(7200), connack=None)
        one.answer(old, rid, b"still")
        assert await asking == (b"still", 3)
        new.send(PRESENT)
        old.end()
        await task

    scene(test, sastoken=token())


def test_twin_request_during_a_renewal_is_answered_on_the_new_connection():
    async def test(one):
        await one.open("twin")
        task, old, new = await renewed(one, token(7200), connack=None)
        asking = asyncio.create_task(one.transport.request_twin())
        await turns()
        new.send(PRESENT)
        await turns()
        rid = await one.request(GET)
        one.answer(new, rid, b"new")
        assert await asking == (b"new", 3)
        old.end()
        await task

    scene(test, sastoken=token())


def test_refused_renewal_leaves_everything_as_it_was():
    async def test(one):
        first = token()
        one.transport.credentials.sastoken = first
        await one.open("messages")
        waiting = asyncio.create_task(one.transport.wait_closed())
        task, old, new = await renewed(one, token(7200), connack=b"\x20\x02\x00\x05")
        assert isinstance(await failure(task), CredentialError)
        assert new.closed and not old.closed
        assert one.transport.connection.token == first
        sending = asyncio.create_task(one.transport.send_message(Message("a")))
        await old.has_written(telemetry(b"a", 2))
        old.send(puback(2))
        await sending
        assert not waiting.done()
        old.end()
        await waiting

    scene(test, sastoken=token())


def test_renewal_that_cannot_dial_leaves_everything_as_it_was():
    async def test(one):
        await one.open()
        error = ConnectionFailedError("refused", "tcp")
        one.transport.dials = [error]
        assert await failure(one.transport.renew()) is error
        assert one.transport.is_open()
        assert not one.stream.closed
        sending = asyncio.create_task(one.transport.send_message(Message("a")))
        await one.stream.has_written(telemetry(b"a", 1))
        one.stream.send(puback(1))
        await sending

    scene(test, sastoken=token())


def test_session_that_a_renewal_loses_is_subscribed_again():
    async def test(one):
        await one.open("messages", "methods")
        task, old, new = await renewed(one, token(7200), connack=CONNACK)
        old.end()
        await turns()
        written = bytes(new.written)
        both = {(first, 3 - first) for first in (1, 2)}
        assert written in [subscribe(a, "messages") + subscribe(b, "methods") for a, b in both] + [
            subscribe(a, "methods") + subscribe(b, "messages") for a, b in both
        ]
        assert not task.done()
        new.send(suback(1) + suback(2))
        await task
        assert one.transport.is_open()

    scene(test, sastoken=token())


def test_session_that_is_not_granted_again_ends_the_new_connection():
    async def test(one):
        await one.open("messages")
        waiting = asyncio.create_task(one.transport.wait_closed())
        task, old, new = await renewed(one, token(7200), connack=CONNACK)
        old.end()
        await turns()
        new.send(suback(1, 0x80))
        error = await failure(task)
        assert isinstance(error, ServiceError)
        assert await waiting is error
        assert not one.transport.is_open()

    scene(test, sastoken=token())


def test_close_at_any_moment_of_a_renewal():
    for reached in ("dialling", "connack", "dry", "over"):

        async def test(one, reached=reached):
            await one.open("messages")
            waiting = asyncio.create_task(one.transport.wait_closed())
            gate = Future()
            if reached == "dialling":
                one.transport.dials = [gate]
                task = asyncio.create_task(one.transport.renew())
                await turns()
            else:
                connack = None if reached == "connack" else PRESENT
                task, old, _ = await renewed(one, token(7200), connack)
            if reached == "over":
                old.end()
                await task
            await one.transport.close()
            if reached == "dialling":
                gate.set_result()
            if reached != "over":
                error = await failure(task)
                assert isinstance(error, (OperationCancelled, ConnectionDroppedError)), reached
            await waiting
            await turns()
            assert not one.transport.is_open(), reached
            for stream in one.transport.streams:
                assert stream.closed, reached
            assert one.problems == []

        scene(test, sastoken=token())


def test_connection_of_a_renewal_never_stands_beside_a_later_one():
    async def test(one):
        await one.open()
        gate = Future()
        one.transport.dials = [gate]
        renewing = asyncio.create_task(one.transport.renew())
        await turns()
        await one.transport.close()
        opening = asyncio.create_task(one.transport.open(one.wants()))
        await turns()
        one.stream.send(CONNACK)
        await opening
        standing = one.stream
        gate.set_result()
        assert isinstance(await failure(renewing), OperationCancelled)
        assert one.transport.is_open()
        assert not standing.closed
        assert [stream.closed for stream in one.transport.streams].count(False) == 1

    scene(test, sastoken=token())


def test_renewal_is_begun_when_it_is_due_and_nobody_is_disturbed():
    async def test(one):
        await one.open()
        connection = one.transport.connection
        connection.renewal = ticks_ms() - 10, 5
        sending = asyncio.create_task(one.transport.send_message(Message("a")))
        await turns()
        told = []
        one.dispatcher.set_handler("on_new_sastoken_required", lambda: told.append(1))
        one.transport.tick(ticks_ms())
        await turns()
        assert told == []  # telemetry waits for its PUBACK
        one.stream.send(puback(1))
        await sending
        one.transport.tick(ticks_ms())
        one.transport.tick(ticks_ms())
        await turns()
        assert told == [1]  # a ready token: the program has to bring another

    scene(test, sastoken=token())


# -- with a will ----------------------------------------------------------------------------------


class Hub(MQTTHubStream):
    """It ends the connection at DISCONNECT, as MQTT has it."""

    def ended_well(self):
        """Whether no will is left: no CONNECT came, or DISCONNECT was the last that did."""
        return "connect" not in self.kinds() or self.kinds()[-1] == "disconnect"

    async def write(self, data):
        await super().write(data)
        if self.kinds()[-1:] == ["disconnect"]:
            self.end()


async def head_start(one, second):
    """Renew with the token `second`; (the task, the old stream, the new one), once TLS is done."""
    old = one.stream
    one.transport.credentials.sastoken = second
    task = asyncio.create_task(one.transport.renew())
    await turns(5)
    assert one.stream is not old
    await one.stream.has_written(b"\x10")  # CONNECT's first byte: TLS begins with the first write
    return task, old, one.stream


def test_renewal_with_a_will_ends_the_old_connection_before_it_connects():
    async def test(one):
        await one.open("messages")
        waiting = asyncio.create_task(one.transport.wait_closed())
        second = token(7200)
        task, old, new = await head_start(one, second)
        await old.has_written(DISCONNECT)
        await turns()
        assert (old.written, new.written) == (b"", b"")
        assert not old.closed
        old.end()
        await new.has_written(connect(second, WILL)[1:])
        assert old.closed
        new.send(PRESENT)
        await task
        assert one.transport.connection.token == second
        assert one.transport.is_open()
        await turns()
        assert not waiting.done()
        assert (old.written, new.written) == (b"", b"")
        sending = asyncio.create_task(one.transport.send_message(Message("a")))
        await new.has_written(telemetry(b"a", 1))
        new.send(puback(1))
        await sending
        new.end()
        assert isinstance(await waiting, ConnectionDroppedError)

    scene(test, sastoken=token(), will=Message("gone"))


def test_what_is_under_way_is_acknowledged_before_a_connection_with_a_will_ends():
    async def test(one):
        await one.open("messages", "methods")
        seen, gate = [], Future()
        one.dispatcher.set_handler(
            "on_message_received", lambda message: seen.append(message.data)
        )

        async def on_method(_):
            await gate
            return 200, "ok"

        one.dispatcher.set_handler("on_method_request_received", on_method)
        one.stream.send(publish("$iothub/methods/POST/name/?$rid=a1", b"{}"))
        sendings = [asyncio.create_task(one.transport.send_message(Message("a")))]
        await one.stream.has_written(telemetry(b"a", 3))
        second = token(7200)
        task, old, new = await head_start(one, second)
        sendings.append(asyncio.create_task(one.transport.send_message(Message("b"))))
        old.send(c2d(b"later", 1))
        await turns()
        assert (old.written, new.written) == (b"", b"")  # "b" waits, and DISCONNECT too
        old.send(puback(3))
        await sendings[0]
        gate.set_result()
        await old.has_written(DISCONNECT)
        old.end()
        # The method's answer is behind CONNECT. What came meanwhile comes again.
        answer = publish("$iothub/methods/res/200/?$rid=a1", b'"ok"')
        await new.has_written(connect(second, WILL)[1:] + answer)
        new.send(PRESENT + c2d(b"later", 1, dup=True))
        await task
        await new.has_written(telemetry(b"b", 1))
        new.send(puback(1))
        await sendings[1]
        await new.has_written(puback(1))
        assert seen == [b"later"]
        assert old.written == b""

    scene(test, sastoken=token(), will=Message("gone"))


def test_request_under_way_is_answered_before_a_connection_with_a_will_ends():
    async def test(one):
        await one.open("twin")
        asking = asyncio.create_task(one.transport.request_twin())
        await turns()
        get = bytes(one.stream.written)
        rid = get.decode().partition("$rid=")[2]
        await one.stream.has_written(get)
        second = token(7200)
        task, old, new = await head_start(one, second)
        await turns()
        assert old.written == b""  # DISCONNECT waits for the answer
        old.send(publish("$iothub/twin/res/200/?$rid=" + rid, b"{}"))
        assert (await asking)[0] == b"{}"
        await old.has_written(DISCONNECT)
        old.end()
        await new.has_written(connect(second, WILL)[1:])
        new.send(PRESENT)
        await task

    scene(test, sastoken=token(), will=Message("gone"))


def test_what_is_not_acknowledged_in_time_is_sent_again_after_a_renewal_with_a_will():
    async def test(one):
        await one.open()
        sending = asyncio.create_task(one.transport.send_message(Message("a")))
        await one.stream.has_written(telemetry(b"a", 1))
        second = token(7200)
        task, old, new = await head_start(one, second)
        await old.has_written(DISCONNECT)
        old.end()
        await new.has_written(connect(second, WILL)[1:])
        new.send(PRESENT)
        await task
        await new.has_written(telemetry(b"a", 1, dup=True))
        new.send(puback(1))
        await sending

    scene(test, sastoken=token(), will=Message("gone"))


def test_renewal_with_a_will_that_gets_no_further_than_tls_leaves_everything_as_it_was():
    async def test(one):
        await one.open()
        old = one.stream
        refused = ConnectionFailedError("refused", "tcp")
        blocked, broken = MemoryStream(), MemoryStream()
        blocked.block()
        broken.close()
        for dialled, stage in ((refused, "tcp"), (blocked, "write"), (broken, "write")):
            one.transport.dials = [dialled]
            error = await failure(one.transport.renew())
            assert error.stage == stage
            assert one.transport.is_open()
            assert not old.closed
        assert blocked.closed and broken.closed
        sending = asyncio.create_task(one.transport.send_message(Message("a")))
        await old.has_written(telemetry(b"a", 1))
        old.send(puback(1))
        await sending

    scene(test, sastoken=token(), will=Message("gone"), timeout=0.1)


def test_renewal_with_a_will_that_fails_after_disconnect_is_a_lost_connection():
    for answer, kind in (
        (b"\x20\x02\x00\x05", CredentialError),
        (b"", ConnectionDroppedError),
        (None, OperationTimeout),
    ):

        async def test(one, answer=answer, kind=kind):
            await one.open("messages")
            seen = []
            one.dispatcher.set_handler("on_message_received", seen.append)
            waiting = asyncio.create_task(one.transport.wait_closed())
            task, old, new = await head_start(one, token(7200))
            old.send(c2d(b"comes again", 1))
            await old.has_written(DISCONNECT)
            old.end()
            await turns()
            if answer is not None:
                new.send(answer)
            assert isinstance(await failure(task), kind)
            error = await waiting
            assert (type(error), error.stage) == (ConnectionDroppedError, "token")
            assert not one.transport.is_open()
            assert old.closed and new.closed
            assert old.written == b""
            # A hub that has said nothing may have accepted it.
            assert new.written.endswith(DISCONNECT) == (answer is None)
            await turns()
            assert seen == []

        scene(test, sastoken=token(), will=Message("gone"), timeout=0.2)


def test_connection_with_a_will_that_is_lost_in_a_renewal_is_replaced():
    async def test(one):
        await one.open()
        second = token(7200)
        old = one.stream
        one.transport.dials = [MemoryStream()]
        one.transport.dials[0].block()
        one.transport.credentials.sastoken = second
        task = asyncio.create_task(one.transport.renew())
        await turns()
        old.end()
        await turns()
        new = one.stream
        new.unblock()
        await new.has_written(connect(second, WILL))
        new.send(PRESENT)
        await task
        assert one.transport.is_open()
        assert old.written == b""

    scene(test, sastoken=token(), will=Message("gone"))


async def ends_well(one, *tasks):
    """Close; every task ends, and each connection did with DISCONNECT."""
    await one.transport.close()
    for task in tasks:
        try:
            await task
        except (OSError, OperationCancelled):
            pass
    for stream in one.transport.streams:
        assert stream.ended_well(), stream.heard
        assert stream.closed


def test_close_at_any_turn_leaves_no_connection_with_a_will_without_disconnect():
    """In the first attempt, and in a renewal, with telemetry under way."""
    reached = []

    async def play(one, count):
        one.transport.dials = [Hub(present=True) for _ in range(2)]
        tasks = [asyncio.create_task(one.transport.open(one.wants("messages")))]
        sending = asyncio.create_task(one.transport.send_message(Message("a")))
        for _ in range(count):
            await asyncio.sleep(0)
            if tasks[0].done() and len(tasks) == 1:
                one.transport.credentials.sastoken = token(7200)
                tasks.append(asyncio.create_task(one.transport.renew()))
        if not tasks[0].done():  # as the supervisor does
            await cancel(tasks.pop())
        reached.append([task.done() for task in tasks])
        await ends_well(one, sending, *tasks)

    for count in range(80):
        scene(lambda one, count=count: play(one, count), sastoken=token(), will=Message("gone"))
    assert reached[0] == [] and reached[-1] == [True, True]


def test_renewal_that_is_cancelled_at_any_turn_leaves_no_will():
    async def play(one, count):
        one.transport.dials = [Hub(present=True) for _ in range(2)]
        await one.transport.open(one.wants())
        one.transport.credentials.sastoken = token(7200)
        renewing = asyncio.create_task(one.transport.renew())
        await turns(count)
        renewing.cancel()
        try:
            await renewing
        except asyncio.CancelledError:
            pass
        await ends_well(one)

    for count in range(50):
        scene(lambda one, count=count: play(one, count), sastoken=token(), will=Message("gone"))


def test_without_memory_for_two_a_connection_with_a_will_ends_in_order():
    async def test(one):
        await one.open()
        waiting = asyncio.create_task(one.transport.wait_closed())
        one.transport.dials = [MemoryError()]
        one.transport.credentials.sastoken = token(7200)
        one.transport.connection.renewal = ticks_ms() - 10, 5
        one.transport.tick(ticks_ms())
        await one.stream.has_written(DISCONNECT)
        one.stream.end()
        error = await waiting
        assert str(error) == "token: no memory to renew the token beside it"
        assert one.stream.closed
        assert one.problems == []

    scene(test, sastoken=token(), will=Message("gone"))
