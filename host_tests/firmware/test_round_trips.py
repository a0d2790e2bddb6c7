"""How many round trips a visit of a board that sleeps costs."""

import asyncio

TRANSPORTS = ("mqtt",)


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
    async def turns(service, lives):
        device_id, key = await bench.new_device(service)
        await service.send_c2d(device_id, b"waits")
        counter = Turns(bench.hub["mqtt_port"])
        server = await asyncio.start_server(counter.serve, "localhost", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            text = bench.connection_string(device_id, key, port=port)
            settings = {"connection_string": text, "lives": lives, "queued": 5, "report": False}
            async with bench.program("wake", **settings) as program:
                await program.expect("end")
        return counter.count

    async def scenario():
        async with bench.service() as service:
            bare, visit = await turns(service, 0), await turns(service, 1)
            # CONNECT, SUBSCRIBE, telemetry and the twin's GET leave together; then PUBACK.
            assert visit <= bare + 2, (bare, visit)

    bench.run(scenario)
