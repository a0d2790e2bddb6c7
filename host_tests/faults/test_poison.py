"""A message at which the hub closes the connection each time, with and without an outbox."""

from host_tests.support.fault_proxy import QUICK
from host_tests.support.scripted_amqp_server import ScriptedAmqpServer
from host_tests.support.scripted_mqtt_server import ScriptedMqttServer
from host_tests.support.tasks import until

TRANSPORTS = ("mqtt", "amqp")
POISON = b"poison"


def poisoned(testbed):
    """(a hub that closes the connection at POISON, a function for the bodies that it has seen)."""
    mqtt = testbed.transport == "mqtt"
    hub = ScriptedMqttServer() if mqtt else ScriptedAmqpServer()
    hub.poison = POISON

    def seen():
        if mqtt:
            return [body for _, _, body in hub.published]
        return [words[1] for words in hub.heard if words[0] == "telemetry"]

    return hub, seen


def test_outbox_gives_up_a_message_at_which_the_hub_closes(testbed, localhost_tls):
    async def scenario():
        hub, seen = poisoned(testbed)
        settings = {"outbox": {"path": None}, "quiet": 0.2, **QUICK}
        async with testbed.program_on(hub, localhost_tls, **settings) as program:
            await program.expect("ready")
            for text in ("before", "poison", "b", "c"):
                await program.tell("later", ["send", text])
            await program.expect("background", "OutboxError", "outbox", None)
            await program.tell("send", "last")
            await program.expect("sent", "last")
            await until(lambda: b"last" in seen())  # it may have been kept meanwhile
            for text in ("before", "poison", "b", "c"):
                assert ["sent", text] in program.said
            others = [body for body in seen() if body != POISON]
            assert list(dict.fromkeys(others)) == [b"before", b"b", b"c", b"last"]
            assert 6 < seen().count(POISON) < 12

    testbed.run(scenario)


def test_without_an_outbox_such_a_message_blocks_until_the_operation_timeout(
    testbed, localhost_tls
):
    async def scenario():
        hub, seen = poisoned(testbed)
        options = {"operation_timeout": 2}
        async with testbed.program_on(hub, localhost_tls, options=options, **QUICK) as program:
            await program.expect("ready")
            await program.tell("send", "poison")
            stage = "puback" if testbed.transport == "mqtt" else "disposition"
            assert await program.expect("error") == ["OperationTimeout", stage, None]
            await program.tell("send", "good")
            await program.expect("sent", "good")
            assert seen().count(POISON) > 2
            assert seen()[-1] == b"good"

    testbed.run(scenario)
