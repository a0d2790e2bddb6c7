"""Everything at once, for long: kill -9 of the hub, cut connections, a full heap, messages both
ways (make soak; CHAOS_COUNT says how many messages).
"""

import asyncio
import os
import random

import pytest

from host_tests.support.device_testbed import DeviceTestbed
from tools.bench.simulated_network import SimulatedNetwork
from tools.local_hub import running_hub
from tools.service.client import ServiceClient

pytestmark = pytest.mark.soak
COUNT = int(os.environ.get("CHAOS_COUNT", "20000"))
WAITING = 30  # cloud-to-device messages at most; the hub keeps 50
LEVEL = 4096  # bytes


class Hub:
    """A local hub that is killed, and comes back on the same ports with what it has stored."""

    def __init__(self, folder):
        self._folder = folder
        self._running = None
        self.line = None
        self.kills = 0

    async def start(self):
        self._running = running_hub(self._folder, self.line)
        self.line = await self._running.__aenter__()

    async def kill(self):
        self.line.process.kill()
        self.kills += 1
        await self._running.__aexit__(None, None, None)

    async def end(self):
        await self._running.__aexit__(None, None, None)


async def cloud(hub, device_id, accepted, handled, count):
    """Send `count` cloud-to-device messages: those that the hub has accepted, in `accepted`."""
    number = 0
    while number < count:
        try:
            async with ServiceClient.create_for_local_hub(hub.line) as service:
                while number < count:
                    if len(accepted - handled) < WAITING:
                        await service.send_c2d_message(device_id, b"%d" % number)
                        accepted.add(number)
                        number += 1
                    await asyncio.sleep(0.01)
        except Exception:  # the hub was killed meanwhile: another connection, and on
            number += 1  # whether it was accepted, nobody knows
            await asyncio.sleep(0.2)


async def break_things(hub, network, rng, ended):
    """Kill the hub, and cut connections, until `ended` (an Event)."""
    while not ended.is_set():
        await asyncio.sleep(rng.uniform(0.5, 3))
        if rng.random() < 0.3:
            await hub.kill()
            await asyncio.sleep(rng.uniform(0, 0.5))
            await hub.start()
        else:
            network.server.cut()


async def stored(service, device_id):
    """The numbers that arrived, and how many came more than once."""
    found, repeated, after = set(), 0, -1
    while events := await service.local.stored_events(device_id, after):
        after = events[-1]["position"]
        for event in events:
            if event["annotations"]["iothub-message-source"] == "Telemetry":
                repeated += int(event["body"]) in found
                found.add(int(event["body"]))
    return found, repeated


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("transport", ["mqtt", "amqp"])
def test_nothing_is_lost_while_everything_fails(transport, tmp_path):
    async def scenario():
        hub, rng = Hub(tmp_path), random.Random(7)
        await hub.start()
        testbed = DeviceTestbed("micropython", transport, hub.line)
        accepted, handled, ended = set(), set(), asyncio.Event()
        async with SimulatedNetwork(testbed.port) as network:
            async with testbed.service() as service:
                device_id, key = await testbed.new_device(service)
            settings = {
                "connection_string": testbed.connection_string(device_id, key, port=network.port),
                "options": {"timeout": 3, "keep_alive": 4, "operation_timeout": 60},
                "heap": "256wK",
                "count": COUNT,
                "fill": 1500,  # ms
            }
            async with testbed.program("chaos", backoff=[0.05, 0.5], **settings) as program:
                tasks = [
                    asyncio.create_task(cloud(hub, device_id, accepted, handled, COUNT // 20)),
                    asyncio.create_task(break_things(hub, network, rng, ended)),
                ]
                heaps = []
                while True:
                    word, *values = await program.expect_any("at", "sent")
                    if word == "sent":
                        failures, fills, connections = values
                        break
                    heaps.append(values[0])
                    handled.update(values[1])
                ended.set()
                await asyncio.wait_for(tasks[1], 60)
                while not (tasks[0].done() and handled >= accepted):
                    handled.update((await program.expect("at"))[1])
                await program.write("end")
                await program.expect("end")
            async with ServiceClient.create_for_local_hub(hub.line) as service:
                arrived, repeated = await stored(service, device_id)
        await hub.end()
        print(transport, COUNT, "messages,", len(accepted), "from the cloud,", hub.kills, "kills,")
        print(connections, "connections,", fills, "full heaps,", failures, "failed sends,")
        # Messages that wait, or a second connection, are in some looks: the least ones count.
        quarter = len(heaps) // 4
        before, after = min(heaps[quarter : 2 * quarter]), min(heaps[-quarter:])
        print(repeated, "repeated; heap:", before, "to", after)
        assert arrived == set(range(COUNT))
        assert hub.kills and fills
        assert after - before < LEVEL

    asyncio.run(asyncio.wait_for(scenario(), 2300))
