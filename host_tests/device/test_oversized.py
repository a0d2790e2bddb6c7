"""Messages over max_inbound are discarded and reported; the connection stays."""

LIMIT = 3000
OPTIONS = {"max_inbound": LIMIT}


def test_oversized_message_is_discarded_and_reported(testbed):
    async def scenario():
        async with testbed.device(options=OPTIONS) as (service, device_id, program):
            await service.send_c2d_message(device_id, b"y" * 60000)
            stage = (await program.expect("background", "OversizedError"))[1]
            assert stage == "message"
            await service.send_c2d_message(device_id, b"small")
            assert (await program.expect("message"))[0] == "small"
            # MQTT cannot refuse it: it stays with the hub.
            await testbed.waiting(service, device_id, 1 if testbed.transport == "mqtt" else 0)

    testbed.run(scenario)


def test_oversized_method_is_answered_413(testbed):
    async def scenario():
        async with testbed.device(options=OPTIONS) as (service, device_id, program):
            for size in (60000, 3500):
                answer = await service.invoke_method(device_id, "echo", "x" * size)
                assert answer == (413, None)
                await program.expect("background", "OversizedError", "method")
            assert await service.invoke_method(device_id, "echo", "fits") == (200, "fits")
            assert await program.expect("method") == ["echo", "fits"]
            assert [words for words in program.said if words[0] == "method"] == [
                ["method", "echo", "fits"]
            ]

    testbed.run(scenario)


def test_oversized_twin_is_reported(testbed):
    async def scenario():
        async with testbed.device(options=OPTIONS) as (service, device_id, program):
            large = {"properties": {"desired": {"large": "z" * 4000}}}
            await service.patch_twin(device_id, large)
            await program.expect("background", "OversizedError", "desired")
            await program.tell("twin")
            assert (await program.expect("error"))[:2] == ["OversizedError", "twin"]
            smaller = {"properties": {"desired": {"large": None, "small": 1}}}
            await service.patch_twin(device_id, smaller)
            while (await program.expect("desired"))[0].get("small") != 1:
                pass
            await program.tell("twin")
            assert "large" not in (await program.expect("twin"))[0]["desired"]
            assert ["state", False] not in program.said

    testbed.run(scenario)
