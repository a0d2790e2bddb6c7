"""MQTT's will, QoS 0, and the device's data in the user name."""

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
