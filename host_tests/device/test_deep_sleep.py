"""iothub.deep_sleep: one wake-up sends what is queued and receives what waits."""

TRANSPORTS = ("mqtt", "amqp")


def visits(testbed, text, lives, **settings):
    given = {"queued": 5, "report": False, **settings}
    return testbed.program("deep_sleep", connection_string=text, lives=lives, **given)


def test_wake_up_sends_the_queue_and_receives_waiting_messages(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            text = testbed.connection_string(device_id, key)
            await service.patch_twin(device_id, {"properties": {"desired": {"rate": 5}}})
            await service.send_c2d_message(device_id, b"one")
            await service.send_c2d_message(device_id, b"two")
            async with visits(testbed, text, 2, report=True) as program:
                await program.expect("end")
            assert program.said.count(["message", "one"]) == 1
            assert program.said.count(["message", "two"]) == 1
            # The second life knows the $version from the first.
            assert program.said.count(["desired", {"rate": 5, "$version": 2}]) == 1
            assert [words for words in program.said if words[0] == "slept"] == [
                ["slept", 0, 3, 1], ["slept", 1, 0, 1]
            ]  # fmt: skip
            events = service.local.telemetry(device_id)
            bodies = {(await anext(events))["body"] for _ in range(10)}
            assert bodies == {b"life %d, reading %d" % (n, i) for n in (0, 1) for i in range(5)}
            assert (await service.get_twin(device_id))["properties"]["reported"]["life"] == 1

    testbed.run(scenario)


def test_wake_up_without_a_hub_reports_it_and_sleeps(testbed):
    async def scenario():
        async with testbed.service() as service:
            text = testbed.connection_string(*await testbed.new_device(service), port=1)
            async with visits(testbed, text, 1) as program:
                await program.expect("background", "ConnectionFailedError", "tcp")
                await program.expect("slept", 0, 0, 1)

    testbed.run(scenario)


def test_wake_up_without_a_hub_loses_nothing_with_an_outbox(testbed, tmp_path):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            outbox = {"path": str(tmp_path / "outbox")}
            nowhere = testbed.connection_string(device_id, key, port=1)
            async with visits(testbed, nowhere, 2, outbox=outbox) as program:
                await program.expect("slept", 1, 0, 1)
            text = testbed.connection_string(device_id, key)
            async with visits(testbed, text, 1, queued=2, outbox=outbox) as program:
                await program.expect("end")
            events = service.local.telemetry(device_id)
            bodies = [(await anext(events))["body"].decode() for _ in range(12)]
            before = [f"life {life}, reading {i}" for life in (0, 1) for i in range(5)]
            assert bodies == [*before, "life 0, reading 0", "life 0, reading 1"]
            assert list((tmp_path / "outbox").iterdir()) == []

    testbed.run(scenario)
