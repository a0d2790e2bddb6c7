"""The round trips of one wake-up of a board that sleeps."""

from tools.bench.simulated_network import SimulatedNetwork

TRANSPORTS = ("mqtt",)


def test_wake_up_takes_at_most_two_round_trips_more_than_connect(testbed):
    async def turns(service, lives):
        device_id, key = await testbed.new_device(service)
        await service.send_c2d_message(device_id, b"waits")
        async with SimulatedNetwork(testbed.hub["mqtt_port"]) as network:
            text = testbed.connection_string(device_id, key, port=network.port)
            settings = {"connection_string": text, "lives": lives, "queued": 5, "report": False}
            async with testbed.program("deep_sleep", **settings) as program:
                await program.expect("end")
        (connection,) = network.connections
        return connection.turns

    async def scenario():
        async with testbed.service() as service:
            bare, visit = await turns(service, 0), await turns(service, 1)
            # CONNECT, SUBSCRIBE, telemetry and the twin's GET leave together; then PUBACK.
            assert visit <= bare + 2, (bare, visit)

    testbed.run(scenario)
