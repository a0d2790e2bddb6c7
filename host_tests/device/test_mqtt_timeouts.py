"""A hub that does not answer over MQTT: each wait times out and names its stage."""

import asyncio

import pytest

from host_tests.support.scripted_mqtt_server import ScriptedMqttServer

TRANSPORTS = ("mqtt",)


def test_missing_suback_times_out(testbed, localhost_tls):
    async def scenario():
        async with testbed.device_on(ScriptedMqttServer("suback"), localhost_tls) as program:
            assert await program.expect("raised") == ["OperationTimeout", "subscribe", None]

    testbed.run(scenario)


def test_missing_puback_ends_the_connection_and_the_message_is_sent_again(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedMqttServer("puback")
        async with testbed.device_on(hub, localhost_tls) as program:
            await program.expect("ready")
            await program.tell("send", "one")
            assert await program.expect("background") == ["OperationTimeout", "puback", None]
            hub.silent.clear()
            await program.expect("sent", "one")
        assert hub.published[0] == (1, False, b"one")
        assert hub.published[-1][1:] == (True, b"one")

    testbed.run(scenario)


def test_message_without_puback_fails_after_the_operation_timeout(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedMqttServer("puback")
        async with testbed.device_on(hub, localhost_tls, operation_timeout=3) as program:
            await program.expect("ready")
            await program.tell("send", "one")
            assert await program.expect("error") == ["OperationTimeout", "puback", None]

    testbed.run(scenario)


def test_disconnect_does_not_wait_for_cancelled_messages(testbed, localhost_tls):
    async def scenario():
        async with testbed.device_on(ScriptedMqttServer("puback"), localhost_tls) as program:
            await program.expect("ready")
            await program.tell("send and give up", "one")
            await program.expect("sent")
            await program.tell("disconnect")
            await program.expect("disconnected")
            await program.tell("end")
            await program.expect("end")
        assert not [words for words in program.said if words[0] == "background"]

    testbed.run(scenario)


def test_missing_pingresp_ends_the_connection(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedMqttServer("pingresp")
        async with testbed.device_on(hub, localhost_tls) as program:
            await program.expect("ready")
            assert await program.expect("background") == ["OperationTimeout", "ping", None]
            await program.expect("state", True)
        assert hub.connections == 2

    testbed.run(scenario)


def test_answered_pings_keep_the_connection(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedMqttServer()
        async with testbed.device_on(hub, localhost_tls, keep_alive=1) as program:
            await program.expect("ready")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(program.expect("state", False), 4)
        assert hub.connections == 1

    testbed.run(scenario)


def test_missing_twin_answer_times_out(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedMqttServer()
        async with testbed.device_on(hub, localhost_tls) as program:
            await program.expect("ready")
            hub.silent.add("twin")
            await program.tell("twin")
            assert await program.expect("error") == ["OperationTimeout", "twin", None]
            await program.tell("send", "still here")
            await program.expect("sent", "still here")

    testbed.run(scenario)
