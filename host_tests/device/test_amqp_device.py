"""Device features that AMQP alone has: reject and abandon, token renewal without a reconnect."""

import asyncio
import time

import pytest

from iothub.sas import sas_token

TRANSPORTS = ("amqp",)


def test_reject_and_abandon(testbed):
    async def scenario():
        async with testbed.device() as (service, device_id, program):
            await program.tell("reject", "unwanted")
            await program.expect("rejecting")
            await service.send_c2d_message(device_id, b"unwanted", ack="full", message_id="r")
            await program.expect("message", "unwanted")
            await program.tell("abandon", "later")
            await program.expect("abandoning")
            await service.send_c2d_message(device_id, b"later", ack="full", message_id="a")
            await program.expect("message", "later")
            await program.expect("message", "later")  # once more, and now it is taken
            await testbed.waiting(service, device_id, 0)

    testbed.run(scenario)


@pytest.mark.parametrize("sasl", ["cbs", "plain"])
def test_token_is_renewed_on_the_live_connection(testbed, sasl):
    async def scenario():
        options = {"sasl": sasl, "sastoken_ttl": 2}
        async with testbed.device(options=options) as (service, device_id, program):
            # The hub ends a connection five seconds after its token has expired.
            loop = asyncio.get_running_loop()
            until = loop.time() + 9
            count = 0
            while loop.time() < until:
                await program.tell("send", f"n{count}")
                await program.expect("sent", f"n{count}")
                count += 1
                await asyncio.sleep(0.5)
            assert ["state", False] not in program.said
            assert not [words for words in program.said if words[0] == "background"]

    testbed.run(scenario)


def test_large_messages_both_ways(testbed):
    async def scenario():
        async with testbed.device(options={"max_inbound": 70000}) as (service, device_id, program):
            # As large as IoT Hub allows, or as the board's heap holds three times over.
            out, back = (30000, 30000) if testbed.name == "micropython" else (262144, 65536)
            await program.tell("send large", out)
            await program.expect("sent", out)
            events = service.local.telemetry(device_id)
            assert (await anext(events))["body"] == b"x" * out
            await service.send_c2d_message(device_id, b"y" * back)
            (text, *_) = await program.expect("message")
            assert text == "y" * back

    testbed.run(scenario)


def test_message_over_max_inbound_is_rejected_and_reported(testbed):
    async def scenario():
        async with testbed.device(options={"max_inbound": 2000}) as (service, device_id, program):
            await service.send_c2d_message(device_id, b"y" * 60000, ack="full", message_id="big")
            assert (await program.expect("background"))[0] == "OversizedError"
            await service.send_c2d_message(device_id, b"small")
            assert (await program.expect("message"))[0] == "small"
            await testbed.waiting(service, device_id, 0)

    testbed.run(scenario)


def test_wrong_key_and_unknown_device(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            for name, secret, sasl, error in (
                (device_id, "A" * 43 + "=", "cbs", ["CredentialError", "token", 401]),
                (device_id, "A" * 43 + "=", "plain", ["CredentialError", "sasl", 401]),
                ("nobody", key, "cbs", ["CredentialError", "token", 401]),
            ):
                text = testbed.connection_string(name, secret)
                options = {"sasl": sasl, "connection_retry": False}
                async with testbed.program(
                    "connect", connection_string=text, options=options
                ) as program:
                    assert await program.expect("raised") == error

    testbed.run(scenario)


def test_expired_ready_token(testbed):
    """The hub closes the connection; the program is told, and its sends do not hang."""

    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            token = sas_token(f"localhost/devices/{device_id}", key, time.time() + 2)
            host = f"localhost:{testbed.hub['amqp_port']}"
            text = f"HostName={host};DeviceId={device_id};SharedAccessSignature={token}"
            options = {"operation_timeout": 3}
            async with testbed.program(
                "device", connection_string=text, options=options
            ) as program:
                await program.expect("ready")
                await program.tell("send", "in time")
                await program.expect("sent", "in time")
                await program.expect("state", False)
                while (await program.expect("background"))[0] != "CredentialError":
                    pass
                await program.tell("send", "too late")
                assert (await program.expect("error"))[0] == "OperationTimeout"

    testbed.run(scenario)


def test_disabled_device(testbed):
    async def scenario():
        async with testbed.device() as (service, device_id, program):
            await service.update_device(device_id, status="disabled")
            await program.expect("state", False)
            error = (await program.expect("background"))[:2]
            assert error[0] in ("CredentialError", "ConnectionDroppedError")
            await service.update_device(device_id, status="enabled")
            await program.expect("state", True)

    testbed.run(scenario)
