"""MQTT's will, QoS 0, and the device's data in the user name."""

import asyncio
import time

from host_tests.support.scripted_mqtt_server import ScriptedMqttServer
from iothub.sas import sas_token
from tools.hub.mqtt.packets import CONNECT, DISCONNECT

TRANSPORTS = ("mqtt", "mqtt-websockets")


def test_will_is_sent_only_when_the_connection_is_lost(testbed):
    async def scenario():
        async with testbed.device(will="gone: ü") as (service, device_id, program):
            await program.tell("disconnect")
            await program.expect("disconnected")
            await program.tell("connect")
            await program.expect("connected")
            await program.tell("send", "alive")
            await program.expect("sent", "alive")
            program.kill()
            events = service.local.telemetry(device_id)
            assert (await anext(events))["body"] == b"alive"
            will = await anext(events)
            assert will["body"] == "gone: ü".encode()
            assert will["application"] == {"last": "word", "iothub-MessageType": "Will"}

    testbed.run(scenario)


def test_renewal_of_its_token_sends_no_will(testbed):
    async def scenario():
        settings = {"will": "gone", "options": {"sastoken_ttl": 3}}
        async with testbed.device_behind_network(**settings) as made:
            service, device_id, program, network = made
            sent = []
            while network.server.attempts < 4:  # each token has a connection of its own
                sent.append(b"n%d" % len(sent))
                await program.tell("send", sent[-1].decode())
                await program.expect("sent", sent[-1].decode())
            assert not [words for words in program.said if words[0] == "background"]
            assert ["state", False] not in program.said
            await program.tell("disconnect")  # at any moment of the last renewal
            await program.expect("disconnected")
            await program.tell("connect")
            await program.expect("connected")
            program.kill()
            events, bodies = service.local.telemetry(device_id), []
            while not bodies or bodies[-1] != b"gone":
                bodies.append((await anext(events))["body"])
            assert bodies == sent + [b"gone"]

    testbed.run(scenario)


def test_update_of_its_token_sends_no_will(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            uri = f"localhost:{testbed.port}/devices/{device_id}"

            def ready(life, signer=key):
                return sas_token(uri, signer, time.time() + life)

            settings = {"sastoken": ready(600), "will": "gone", "backoff": [0.05, 0.1]}
            async with testbed.program("device", **settings) as program:
                await program.expect("ready")
                await service.send_c2d_message(device_id, b"first")
                await program.expect("message", "first")
                # What is under way goes on, and ends on another connection.
                await program.tell("hold", "held")
                await program.expect("holding")
                await service.send_c2d_message(device_id, b"held")
                await program.expect("message", "held")
                calling = asyncio.create_task(service.invoke_method(device_id, "held", 7))
                await program.expect("method")
                await program.tell("later", ["sastoken", ready(601)])
                await program.expect("renewed")
                await program.tell("let go")
                assert await calling == (200, 7)
                await program.expect("message", "held")  # it was not acknowledged
                await testbed.waiting(service, device_id, 0)
                assert ["state", False] not in program.said
                # A token that is refused costs the connection, which comes again with the first.
                await program.tell("sastoken", ready(602, signer="A" * 43 + "="))
                assert (await program.expect("error"))[0] == "CredentialError"
                await program.expect("state", False)
                await program.expect("state", True)
                await program.tell("send", "alive")
                await program.expect("sent", "alive")
                await program.tell("sastoken", ready(603))
                await program.expect("renewed")
                events = await service.local.stored_events(device_id)
                assert b"gone" not in [event["body"] for event in events]
                program.kill()
                events = service.local.telemetry(device_id)
                assert (await anext(events))["body"] == b"alive"
                assert (await anext(events))["body"] == b"gone"

    testbed.run(scenario)


def test_connection_with_a_will_ends_before_the_next_one_begins(testbed, localhost_tls):
    async def scenario():
        # What the first one never acknowledges is sent again on the next one.
        server = ScriptedMqttServer(
            instead={"puback": lambda answer, connection: answer if connection > 1 else b""}
        )
        options = {"sastoken_ttl": 4, "timeout": 10}
        settings = {"will": "gone", "options": options}
        async with testbed.program_on(server, localhost_tls, **settings) as program:
            await program.expect("ready")
            await program.tell("send", "under way")
            await program.expect("sent", "under way")
            assert ["state", False] not in program.said
            await program.tell("disconnect")
            await program.expect("disconnected")
            await server.packets.wait_for(2, DISCONNECT)
        found = server.packets
        at = found.index([1, DISCONNECT])
        assert found[at + 1] == [2, CONNECT]
        assert {connection for connection, _ in found[:at]} == {1}
        assert 1 not in [connection for connection, _ in found[at + 1 :]]
        assert found[-1] == [2, DISCONNECT]
        assert server.published == [(1, False, b"under way"), (2, True, b"under way")]

    if not testbed.websockets:  # the scripted server speaks no HTTP
        testbed.run(scenario)


def test_qos_0_telemetry_needs_no_acknowledgement(testbed):
    async def scenario():
        async with testbed.device(options={"qos": 0}) as (service, device_id, program):
            for number in range(5):
                await program.tell("send", f"n{number}")
                await program.expect("sent", f"n{number}")
            events = service.local.telemetry(device_id)
            bodies = [(await anext(events))["body"] for _ in range(5)]
            assert bodies == [b"n%d" % number for number in range(5)]

    testbed.run(scenario)


def test_user_name_has_model_id_and_product_info(testbed):
    async def scenario():
        options = {"model_id": "dtmi:com:example:Thermostat;1", "product_info": "ünser board (1)"}
        async with testbed.device(options=options) as (service, device_id, _):
            assert (await service.get_twin(device_id))["modelId"] == options["model_id"]

    testbed.run(scenario)
