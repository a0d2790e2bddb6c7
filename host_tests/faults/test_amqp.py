"""A scripted AMQP hub: settlements and their number, a refused twin, hostile deliveries."""

from host_tests.support.scripted_amqp_server import ScriptedAmqpServer
from iothub.amqp.composites import ACCEPTED, REJECTED
from iothub.amqp.sections import VALUE, AmqpMessage

TRANSPORTS = ("amqp",)
CREDIT = 10


def outcomes(hub, number):
    return [words[2] for words in hub.heard if words[:2] == ["outcome", number]]


def test_undecodable_message_is_settled_once_and_returns_its_credit(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedAmqpServer()
        async with testbed.device_on(hub, localhost_tls) as program:
            await program.expect("ready")
            bad = [hub.deliver("/twin", AmqpMessage(b"{no json")) for _ in range(6)]
            bad += [hub.deliver("/twin", AmqpMessage(7, VALUE)) for _ in range(6)]
            for _ in bad:
                await program.expect("background")
            good = hub.deliver("/twin", AmqpMessage(b'{"a":1,"$version":2}'))
            await program.expect("desired")
            await hub.heard.wait_for("outcome", good, ACCEPTED)
            assert [outcomes(hub, number) for number in bad] == [[REJECTED]] * len(bad)
            # Whatever has come, no more than this may be on its way at once.
            credits = [words[3] for words in hub.heard if words[0] == "credit"]
            assert max(credits) <= CREDIT
            assert ["state", False] not in program.said

    testbed.run(scenario)


def test_undecodable_method_is_answered_and_settled_once(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedAmqpServer()
        async with testbed.device_on(hub, localhost_tls) as program:
            await program.expect("ready")
            nameless = hub.deliver("/methods/devicebound", AmqpMessage(b"1", correlation_id="a"))
            await program.expect("background")
            await hub.heard.wait_for("outcome", nameless, REJECTED)
            call = AmqpMessage(b"{", correlation_id="b")
            call.application = {"IoThub-methodname": "echo"}
            number = hub.deliver("/methods/devicebound", call)
            await hub.heard.wait_for("method", "b", 400, b"")
            await hub.heard.wait_for("outcome", number, ACCEPTED)
            assert outcomes(hub, number) == [ACCEPTED]

    testbed.run(scenario)


def test_message_that_decodes_to_far_more_memory_breaks_nothing(testbed, localhost_tls):
    """A list of empty lists, a byte each: accepted or refused, as memory allows."""

    async def scenario():
        hub = ScriptedAmqpServer()
        size = 15000
        bomb = b"\0\x53\x77\xd0" + (size + 4).to_bytes(4, "big") + size.to_bytes(4, "big")
        async with testbed.device_on(hub, localhost_tls) as program:
            await program.expect("ready")
            for path in ("/messages/devicebound", "/methods/devicebound", "/twin"):
                for _ in range(3):
                    number = hub.deliver(path, bomb + b"\x45" * size)
                    await program.expect("background")
                    await hub.outcome(number)
            await program.tell("send", "after")
            await program.expect("sent", "after")
            assert ["state", False] not in program.said

    testbed.run(scenario)


def test_refused_twin_request_reports_its_status(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedAmqpServer()
        hub.statuses = [429, 500]
        hub.desired = {"a": 1, "$version": 4}
        playing = testbed.program_on(hub, localhost_tls, "device", tell_backoff=True)
        async with playing as program:
            for status in (429, 500):
                assert await program.expect("background") == ["ServiceError", "twin", status]
            assert await program.expect("desired") == [{"a": 1, "$version": 4}]
            assert hub.heard.count(["twin", "GET"]) == 3
            assert program.said.count(["back-off"]) == 2
            for verb in ("twin", "report"):
                hub.statuses = [429]
                await program.tell(verb, {"a": 1})
                assert await program.expect("error") == ["ServiceError", "twin", 429]
            hub.silent = "twin"
            await program.tell("twin")
            assert await program.expect("error") == ["OperationTimeout", "twin", None]
            hub.silent = None
            await program.tell("twin")
            await program.expect("twin")
        assert hub.connections == 1

    testbed.run(scenario)


def test_oversized_cbs_answer_is_a_protocol_error(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedAmqpServer()
        async with testbed.device_on(hub, localhost_tls, max_inbound=3000) as program:
            await program.expect("ready")
            for _ in range(2):
                hub.deliver("$cbs", AmqpMessage(b"x" * 3500))
                assert await program.expect("background") == ["ProtocolError", "token", None]
                await program.expect("state", True)
            await program.tell("send", "after")
            await program.expect("sent", "after")

    testbed.run(scenario)


def test_message_accepted_while_connecting_is_sent_on_that_connection(testbed, localhost_tls):
    """The telemetry link is attached, and the twin has not been requested yet."""

    async def scenario():
        hub = ScriptedAmqpServer()
        async with testbed.device_on(hub, localhost_tls, timeout=5) as program:
            await program.expect("ready")
            hub.silent = "twin"
            hub.cut()
            await hub.heard.wait_for("twin", "PUT", count=2)
            await program.tell("send", "meanwhile")
            await hub.heard.wait_for("telemetry", b"meanwhile")
            await program.expect("sent", "meanwhile")
            hub.silent = None
            hub.answer_twin()
            await program.expect("state", True)
            assert hub.connections == 2
            assert hub.heard.count(["telemetry", b"meanwhile"]) == 1

    testbed.run(scenario)
