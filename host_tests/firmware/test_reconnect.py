"""Lost connections: nothing accepted is lost, and the program is told."""


def test_messages_accepted_before_and_during_a_loss_arrive_in_order(bench):
    async def scenario():
        async with bench.device() as (service, device_id, program):
            await program.tell("send many", 400)
            first = (await telemetry(service, device_id, 1))[0]
            assert first["body"] == b"m0"
            await service.drop(device_id)
            await program.expect("sent", 400)
            bodies = []
            for event in await telemetry(service, device_id, 400):
                if event["body"] not in bodies:
                    bodies.append(event["body"])
            assert bodies == [b"m%d" % i for i in range(400)]
            assert ["state", False] in program.said
            assert program.said.count(["state", True]) == 2

    bench.run(scenario)


async def telemetry(service, device_id, least):
    """The telemetry events of a device, once there are at least `least` bodies."""
    events, after = [], None
    while len({event["body"] for event in events}) < least:
        for event in await service.events(device_id, after=after, wait=20):
            after = event["sequenceNumber"]
            if event["annotations"]["iothub-message-source"] == "Telemetry":
                events.append(event)
    return events


def test_operations_wait_for_a_lost_connection(bench):
    async def scenario():
        async with bench.device() as (service, device_id, program):
            await service.drop(device_id)
            await program.expect("state", False)
            await program.tell("report", {"a": 1})
            await program.expect("reported")
            await program.tell("send", "after")
            await program.expect("sent", "after")

    bench.run(scenario)


def test_disconnect_and_connect_again(bench):
    async def scenario():
        async with bench.device() as (service, device_id, program):
            await program.tell("disconnect")
            await program.expect("disconnected")
            await service.send_c2d(device_id, b"waiting")
            await program.tell("connect")
            assert (await program.expect("message"))[0] == "waiting"
            await program.tell("send", "again")
            await program.expect("sent", "again")

    bench.run(scenario)
