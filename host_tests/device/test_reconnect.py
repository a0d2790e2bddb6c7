"""Lost connections: no accepted message is lost, and the program is told."""

TRANSPORTS = ("mqtt", "amqp", "mqtt-websockets", "amqp-websockets")


def test_messages_accepted_before_and_during_a_lost_connection_arrive_in_order(testbed):
    async def scenario():
        async with testbed.device() as (service, device_id, program):
            count = 80  # what the small heap holds, with the code of WebSocket
            await program.tell("send many", count)
            telemetry = service.local.telemetry(device_id)
            bodies = [(await anext(telemetry))["body"]]
            await service.local.cut_connection(device_id)
            await program.expect("sent", count)
            while len(bodies) < count:
                body = (await anext(telemetry))["body"]
                if body not in bodies:
                    bodies.append(body)
            assert bodies == [b"m%d" % i for i in range(count)]
            while program.said.count(["state", True]) < 2:  # it may all have gone before the cut
                await program.expect("state")
            assert ["state", False] in program.said

    testbed.run(scenario)


def test_operations_wait_for_the_reconnect(testbed):
    async def scenario():
        async with testbed.device() as (service, device_id, program):
            await service.local.cut_connection(device_id)
            await program.expect("state", False)
            await program.tell("report", {"a": 1})
            await program.expect("reported")
            await program.tell("send", "after")
            await program.expect("sent", "after")

    testbed.run(scenario)


def test_disconnect_and_connect(testbed):
    async def scenario():
        async with testbed.device() as (service, device_id, program):
            await program.tell("disconnect")
            await program.expect("disconnected")
            await service.send_c2d_message(device_id, b"waiting")
            await program.tell("connect")
            assert (await program.expect("message"))[0] == "waiting"
            await program.tell("send", "again")
            await program.expect("sent", "again")

    testbed.run(scenario)
