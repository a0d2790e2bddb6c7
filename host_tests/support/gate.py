"""A port before the hub's, which a test may shut to new connections."""

import asyncio
import contextlib


class Gate:
    """A port before the hub's, which may be shut to new connections."""

    def __init__(self, upstream):
        self._upstream = upstream
        self.open = True
        self.knocks = 0
        self.turned_away = asyncio.Event()

    async def serve(self, reader, writer):
        self.knocks += 1
        if not self.open:
            self.turned_away.set()
            writer.transport.abort()
            return
        up_reader, up_writer = await asyncio.open_connection("localhost", self._upstream)
        pumps = [_pump(reader, up_writer), _pump(up_reader, writer)]
        await asyncio.wait(map(asyncio.create_task, pumps), return_when=asyncio.FIRST_COMPLETED)
        for one in (writer, up_writer):
            one.transport.abort()


async def _pump(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)


@contextlib.asynccontextmanager
async def gated(bench, **settings):
    """(service, device id, program, gate) of a connected device."""
    front = "https" if bench.websockets else bench.transport
    gate = Gate(bench.hub[f"{front}_port"])
    server = await asyncio.start_server(gate.serve, "localhost", 0)
    async with server, bench.service() as service:
        device_id, key = await bench.new_device(service)
        port = server.sockets[0].getsockname()[1]
        text = bench.connection_string(device_id, key, port=port)
        async with bench.program("device", connection_string=text, **settings) as program:
            await program.expect("ready")
            yield service, device_id, program, gate
