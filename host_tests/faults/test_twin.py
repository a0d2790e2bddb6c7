"""Twin requests that are refused, throttled or lost; desired changes out of order."""

import pytest

from host_tests.support import mqtt_packets
from host_tests.support.scripted_mqtt_server import ScriptedMqttServer

TRANSPORTS = ("mqtt",)


@pytest.mark.parametrize("verb", ["twin", "report"])
def test_lost_answer_does_not_spoil_the_next_request(testbed, localhost_tls, verb):
    async def scenario():
        hub = ScriptedMqttServer()
        async with testbed.device_on(hub, localhost_tls) as program:
            await program.expect("ready")
            hub.silent.add("twin")
            await program.tell(verb, {"a": 1})
            assert await program.expect("error") == ["OperationTimeout", "twin", None]
            hub.silent.clear()
            await program.tell("report", {"a": 2})
            await program.expect("reported")
            await program.tell("twin")
            (twin,) = await program.expect("twin")
            assert twin["desired"] == {"$version": 1}
        assert hub.connections == 1

    testbed.run(scenario)


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_refused_request_reports_its_status_and_keeps_the_connection(
    testbed, localhost_tls, status
):
    async def scenario():
        hub = ScriptedMqttServer()
        async with testbed.device_on(hub, localhost_tls) as program:
            await program.expect("ready")
            await hub.heard.wait_for(1, "get")
            for verb in ("twin", "report"):
                hub.statuses = [status]
                await program.tell(verb, {"a": 1})
                assert await program.expect("error") == ["ServiceError", "twin", status]
            await program.tell("twin")
            await program.expect("twin")
            assert ["state", False] not in program.said
        assert hub.connections == 1

    testbed.run(scenario)


def test_refused_own_twin_request_is_repeated_with_back_off(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedMqttServer()
        hub.desired = {"a": 1, "$version": 4}
        hub.statuses = [429, 500, 503, 429]
        refusals = list(hub.statuses)
        playing = testbed.program_on(hub, localhost_tls, "device", tell_backoff=True)
        async with playing as program:
            for status in refusals:
                assert await program.expect("background") == ["ServiceError", "twin", status]
            assert await program.expect("desired") == [{"a": 1, "$version": 4}]
            # No storm: as many questions as there were answers, and a wait before each.
            assert hub.heard == [[1, "get"]] * 5
            assert program.said.count(["back-off"]) == 4

    testbed.run(scenario)


def test_answer_with_an_unknown_request_id_is_ignored(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedMqttServer()
        async with testbed.device_on(hub, localhost_tls) as program:
            await program.expect("ready")
            for status in (200, 204, 429, 500):
                hub.send(mqtt_packets.publish(f"$iothub/twin/res/{status}/?$rid=nobody", b"{}"))
            hub.send(mqtt_packets.publish("$iothub/twin/res/200/", b"{}"))
            await program.tell("twin")
            await program.expect("twin")
            told = [words[0] for words in program.said]
            assert "background" not in told
            assert "desired" not in told

    testbed.run(scenario)


def test_gap_in_the_versions_causes_a_new_read_and_old_changes_are_ignored(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedMqttServer()
        hub.desired = {"a": 1, "$version": 2}
        async with testbed.device_on(hub, localhost_tls) as program:
            assert await program.expect("desired") == [{"a": 1, "$version": 2}]
            hub.desired = {"a": 1, "b": 2, "c": 3, "$version": 5}
            hub.patch_desired({"c": 3, "$version": 5})
            assert await program.expect("desired") == [{"b": 2, "c": 3, "$version": 5}]
            hub.patch_desired({"c": 0, "$version": 4})
            hub.patch_desired({"c": 3, "$version": 5})
            hub.patch_desired({"d": 4, "$version": 6})
            assert await program.expect("desired") == [{"d": 4, "$version": 6}]
        assert hub.heard == [[1, "get"]] * 2

    testbed.run(scenario)


def test_changes_while_the_twin_cannot_be_read_reach_the_handler_once(testbed, localhost_tls):
    """A change arrives between a throttled request and the next one."""

    async def scenario():
        hub = ScriptedMqttServer()
        hub.statuses = [429]
        async with testbed.device_on(hub, localhost_tls) as program:
            assert await program.expect("background") == ["ServiceError", "twin", 429]
            hub.desired = {"a": 1, "$version": 2}
            hub.patch_desired(hub.desired)
            assert await program.expect("desired") == [{"a": 1, "$version": 2}]
            hub.patch_desired({"a": 2, "$version": 3})
            assert await program.expect("desired") == [{"a": 2, "$version": 3}]

    testbed.run(scenario)


def test_disconnect_while_the_twin_is_read_reports_no_error(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedMqttServer("twin")
        async with testbed.device_on(hub, localhost_tls, timeout=5) as program:
            await hub.heard.wait_for(1, "get")
            await program.expect("ready")
            await program.tell("disconnect")
            await program.expect("disconnected")
            hub.silent.clear()
            hub.desired = {"a": 1, "$version": 2}
            await program.tell("connect")
            assert await program.expect("desired") == [{"a": 1, "$version": 2}]
            assert "background" not in [words[0] for words in program.said]

    testbed.run(scenario)


def test_invalid_twin_delays_no_change(testbed, localhost_tls):
    """A twin that is nested too deeply, or is no object: changes still reach the handler."""

    async def scenario():
        for body in (b"[]", b'{"desired":7}', b'{"a":' * 2500 + b"1" + b"}" * 2500, b"\xff"):
            hub = ScriptedMqttServer()
            hub.twin_body = body
            async with testbed.device_on(hub, localhost_tls) as program:
                await program.expect("background")
                hub.patch_desired({"a": 1, "$version": 2})
                assert await program.expect("desired") == [{"a": 1, "$version": 2}]

    testbed.run(scenario)
