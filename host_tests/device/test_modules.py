"""Modules: their identity, twin, direct methods and inputs, over MQTT and AMQP."""


def test_module_uses_its_twin_methods_and_inputs(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, _ = await testbed.new_device(service)
            made = await service.create_module(device_id, "part")
            key = made["authentication"]["symmetricKey"]["primaryKey"]
            text = testbed.connection_string(f"{device_id};ModuleId=part", key)
            async with testbed.program("device", connection_string=text) as program:
                await program.expect("ready")
                await program.tell("send", "from a module")
                await program.expect("sent")
                event = await anext(service.local.telemetry(device_id))
                assert event["body"] == b"from a module"
                assert event["annotations"]["iothub-connection-module-id"] == "part"
                await program.tell("report", {"a": 1})
                await program.expect("reported")
                await program.tell("twin")
                (twin,) = await program.expect("twin")
                assert twin["reported"]["a"] == 1
                await service.local.send_input(device_id, "part", "in", b"hello", {"p": "q"})
                assert await program.expect("input") == ["in"]
                assert (await program.expect("message"))[:2] == ["hello", {"p": "q"}]

    testbed.run(scenario)
