"""Boards that sleep: what a visit brings and takes, and how many round trips it costs."""

import asyncio

TRANSPORTS = ("mqtt", "amqp")


def visits(bench, text, lives, **settings):
    given = {"queued": 5, "report": False, **settings}
    return bench.program("wake", connection_string=text, lives=lives, **given)


def test_what_waits_is_taken_and_what_is_queued_is_sent(bench):
    async def scenario():
        async with bench.service() as service:
            device_id, key = await bench.new_device(service)
            text = bench.connection_string(device_id, key)
            await service.patch_twin(device_id, {"properties": {"desired": {"rate": 5}}})
            await service.send_c2d(device_id, b"one")
            await service.send_c2d(device_id, b"two")
            async with visits(bench, text, 2, report=True) as program:
                await program.expect("end")
            assert program.said.count(["message", "one"]) == 1
            assert program.said.count(["message", "two"]) == 1
            # The second life knows the $version from the first.
            assert program.said.count(["desired", {"rate": 5, "$version": 2}]) == 1
            assert [words for words in program.said if words[0] == "slept"] == [
                ["slept", 0, 3, 1], ["slept", 1, 0, 1]
            ]  # fmt: skip
            events = service.telemetry(device_id)
            bodies = {(await anext(events))["body"] for _ in range(10)}
            assert bodies == {b"life %d, reading %d" % (n, i) for n in (0, 1) for i in range(5)}
            assert (await service.get_twin(device_id))["properties"]["reported"]["life"] == 1

    bench.run(scenario)


def test_without_a_hub_it_is_said_and_the_board_sleeps(bench):
    async def scenario():
        async with bench.service() as service:
            text = bench.connection_string(*await bench.new_device(service), port=1)
            async with visits(bench, text, 1) as program:
                await program.expect("background", "ConnectionFailedError", "tcp")
                await program.expect("slept", 0, 0, 1)

    bench.run(scenario)


class Turns:
    """A port before the hub's: it counts how often the direction turns from device to hub."""

    def __init__(self, upstream):
        self._upstream = upstream
        self.count = 0
        self._outwards = False

    async def serve(self, reader, writer):
        up_reader, up_writer = await asyncio.open_connection("localhost", self._upstream)
        pumps = [self._pump(reader, up_writer, True), self._pump(up_reader, writer, False)]
        await asyncio.wait(map(asyncio.create_task, pumps), return_when=asyncio.FIRST_COMPLETED)
        for one in (writer, up_writer):
            one.transport.abort()

    async def _pump(self, reader, writer, outwards):
        while data := await reader.read(65536):
            if outwards and not self._outwards:
                self.count += 1
            self._outwards = outwards
            writer.write(data)


def test_a_visit_costs_few_round_trips_more_than_a_bare_connection(bench):
    if bench.transport != "mqtt":
        return

    async def turns(service, lives):
        device_id, key = await bench.new_device(service)
        await service.send_c2d(device_id, b"waits")
        counter = Turns(bench.hub["mqtt_port"])
        server = await asyncio.start_server(counter.serve, "localhost", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            text = bench.connection_string(device_id, key, port=port)
            async with visits(bench, text, lives) as program:
                await program.expect("end")
        return counter.count

    async def scenario():
        async with bench.service() as service:
            bare, visit = await turns(service, 0), await turns(service, 1)
            # CONNECT, SUBSCRIBE, telemetry and the twin's GET leave together; then PUBACK.
            assert visit <= bare + 2, (bare, visit)

    bench.run(scenario)
