"""Power loss while the outbox is written: all accepted messages are sent afterwards."""

import asyncio
import json
import random

import pytest

INTERPRETERS = ("micropython",)
TRANSPORTS = ("mqtt",)
KILLS = 100
MANY = 100_000  # numbers for each start


async def accepted(testbed, moment, **settings):
    """Start the program and kill it about `moment` turns of the loop later: the numbers that it
    accepted.
    """
    async with testbed.program("power_loss", **settings) as program:
        lines = [await program.line() for _ in range(moment)]
        program.kill()
        lines += await program.lines()
    return [int(line) for line in lines if line.strip().isdigit()]


def test_accepted_messages_survive_kill_9(testbed, tmp_path):
    async def scenario():
        chance = random.Random(8)
        outbox = {"path": str(tmp_path / "outbox"), "limit": 4_000_000}
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            settings = {
                "connection_string": testbed.connection_string(device_id, key),
                "outbox": outbox,
            }
            promised = []
            for start in range(2 * KILLS):
                promised += await accepted(
                    testbed,
                    chance.randrange(1, 100),
                    first=start * MANY,
                    connect=chance.random() < 0.5,
                    **settings,
                )
            async with testbed.program("device", **settings) as program:
                await program.expect("ready")
                await program.tell("send", "last")
                await program.expect("sent", "last")
            arrived, repeated = {}, 0
            async for event in service.local.telemetry(device_id):
                body = event["body"].decode()
                repeated += body in arrived
                arrived[body] = True
                if body == "last":
                    break
        numbers = [int(body) for body in arrived if body != "last"]
        assert len(promised) > 2 * KILLS
        assert set(promised) <= set(numbers)
        assert numbers == sorted(numbers)
        # At each start at most a window, and what is done with and was not yet noted, comes again.
        assert repeated <= 2 * KILLS * (16 + 32)
        print(json.dumps({"accepted": len(promised), "repeated": repeated}))

    asyncio.run(asyncio.wait_for(scenario(), 240))


def test_accepted_messages_survive_power_loss_at_each_write(testbed):
    async def scenario():
        async with testbed.program("flash_cut", heap="2048wK") as program:
            cuts, promised, writes = await program.expect("cuts")
            assert len(program.said) == 1  # MicroPython prints what fails behind its back
        assert cuts > 50
        assert promised > cuts
        assert cuts == writes + 1  # before each of them, and half-way through the last

    testbed.run(scenario)


@pytest.mark.parametrize("drop", ["newest", "oldest"])
def test_full_flash_counts_every_lost_message(testbed, drop):
    async def scenario():
        async with testbed.program("flash_full", heap="2048wK", drop=drop) as program:
            accepted, refused, lost, dropped = await program.expect("full")
            await program.expect("left", 0, [])
        assert accepted + refused == 300
        if drop == "newest":
            assert accepted > 50
            assert (lost, dropped) == (0, refused)
        else:
            assert refused == 0
            assert 50 < lost == dropped < 280

    testbed.run(scenario)
