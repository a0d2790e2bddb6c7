"""iothub.health: the health report as a reported property."""

TRANSPORTS = ("mqtt", "amqp")


async def reported(service, device_id):
    return (await service.get_twin(device_id))["properties"]["reported"]


def test_report_contains_the_reasons_of_lost_connections(testbed, tmp_path):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            settings = {
                "connection_string": testbed.connection_string(device_id, key),
                "every": 0,
                "outbox": {"path": str(tmp_path / "outbox")},
            }
            async with testbed.program("health", **settings) as program:
                await program.expect("reported", True, True)
                first = (await reported(service, device_id))["health"]
                await service.local.cut_connection(device_id)
                await program.expect("state", False)
                await program.expect("state", True)
                await program.tell("again")
                await program.expect("reported", True)
                second = (await reported(service, device_id))["health"]
                await program.tell("end")
                await program.expect("end")
        assert first["resetCause"] == "power on"
        assert first["connections"] == 1
        assert first["losses"] == {}
        assert first["waiting"] == first["dropped"] == 0
        assert first["outbox"] == {"waiting": 0, "dropped": 0, "damaged": 0}
        assert second["connections"] == 2
        assert second["losses"] == {"read": 1}
        assert second["uptime"] >= first["uptime"] >= 0
        if testbed.name == "micropython":
            assert 0 < first["heapLow"] <= 256 * 1024
            assert first["heapFree"] > 0

    testbed.run(scenario)


def test_reports_are_limited_in_rate(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            text = testbed.connection_string(device_id, key)
            async with testbed.program("health", connection_string=text, every=3600) as program:
                await program.expect("reported", True, False)
                before = (await reported(service, device_id))["$version"]
                await program.tell("again")
                await program.expect("reported", False)
                assert (await reported(service, device_id))["$version"] == before

    testbed.run(scenario)


def test_disconnected_client_has_missed_no_deadline(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            text = testbed.connection_string(device_id, key)
            async with testbed.program("health", connection_string=text, every=3600) as program:
                await program.tell("pause")
                await program.expect("missed", [None, None, None])
                await program.tell("end")
                await program.expect("end")

    testbed.run(scenario)
