"""Direct methods from a scripted MQTT hub: repeated requests, too many at once, invalid JSON."""

from host_tests.support.scripted_mqtt_server import ScriptedMqttServer

TRANSPORTS = ("mqtt",)
PATIENT = {"handler_timeout": 60}


def test_repeated_request_runs_once_even_across_a_reconnect(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedMqttServer()
        async with testbed.device_on(hub, localhost_tls, **PATIENT) as program:
            await program.expect("ready")
            hub.method("held", "5", "five")
            hub.method("held", "5", "five")
            await program.expect("method", "held")
            hub.cut()
            await program.expect("state", True)
            hub.method("held", "5", "five")
            hub.method("echo", "6", 6)
            await hub.heard.wait_for(2, "method", "6", 200, b"6")
            await program.tell("let go")
            await hub.heard.wait_for(2, "method", "5", 200, b'"five"')
            # Once it is answered its rid is free again, as a hub's count may begin anew.
            hub.method("echo", "5", "again")
            await hub.heard.wait_for(2, "method", "5", 200, b'"again"')
            await program.expect("method", "echo", "again")
            assert methods(program) == [["held", "five"], ["echo", 6], ["echo", "again"]]
            assert len([words for words in hub.heard if words[1] == "method"]) == 3

    testbed.run(scenario)


def test_too_many_requests_are_answered_429(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedMqttServer()
        async with testbed.device_on(hub, localhost_tls, **PATIENT) as program:
            await program.expect("ready")
            for number in range(8):
                hub.method("held", str(number), number)
            hub.method("held", "3", 3)
            hub.method("held", "8", 8)
            await hub.heard.wait_for(1, "method", "8", 429, b"")
            await program.tell("let go")
            for number in range(8):
                await hub.heard.wait_for(1, "method", str(number), 200, b"%d" % number)
            answered = [words[2] for words in hub.heard if words[1] == "method"]
            assert sorted(answered) == list("012345678")

    testbed.run(scenario)


def test_invalid_json_is_answered_400(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedMqttServer()
        async with testbed.device_on(hub, localhost_tls) as program:
            await program.expect("ready")
            for rid, body in enumerate((b"{", b"\xff", b"[" * 9000, b'{"a":')):
                hub.method("echo", rid, body)
                await hub.heard.wait_for(1, "method", str(rid), 400, b"")
            hub.method("echo", "last", 1)
            await hub.heard.wait_for(1, "method", "last", 200, b"1")
            await program.expect("method", "echo", 1)
            assert methods(program) == [["echo", 1]]

    testbed.run(scenario)


def test_payload_that_decodes_to_far_more_memory_breaks_nothing(testbed, localhost_tls):
    """It is answered, with a status that depends on the free memory."""

    async def scenario():
        hub = ScriptedMqttServer()
        async with testbed.device_on(hub, localhost_tls) as program:
            await program.expect("ready")
            for rid in ("1", "2", "3"):
                hub.method("echo", rid, b"[" + b"[]," * 5000 + b"[]]")
                assert (await hub.heard.first(1, "method", rid))[3] in (200, 400, 500)
            await program.tell("send", "after")
            await program.expect("sent", "after")
            assert ["state", False] not in program.said

    testbed.run(scenario)


def methods(program):
    return [words[1:] for words in program.said if words[0] == "method"]
