"""The outbox: telemetry that is accepted without a connection is kept, in order, until it is
acknowledged.
"""

import asyncio
import os
from datetime import datetime, timezone

import pytest

from tools.bench.simulated_network import SimulatedNetwork
from tools.tcp_server import TcpServer

TRANSPORTS = ("mqtt", "amqp")
CREATED = "iothub-creation-time-utc"


@pytest.fixture(params=["ram", "flash"])
def outbox_settings(request, tmp_path):
    """The options of an Outbox, in RAM and in flash."""
    return {"path": str(tmp_path / "outbox") if request.param == "flash" else None}


async def cut(service, device_id, program, network):
    """Cut the device's connection, and refuse new ones."""
    network.server.accepting = False
    await service.local.cut_connection(device_id)
    await program.expect("state", False)


async def bodies(service, device_id, count):
    """{body: event} of the first `count` different bodies, in the order of their arrival."""
    found = {}
    async for event in service.local.telemetry(device_id):
        found.setdefault(event["body"].decode(), event)
        if len(found) == count:
            break
    return found


async def emptied(program):
    """Wait until the outbox is empty: the number of dropped messages."""
    while True:
        await program.tell("outbox")
        waiting, dropped = await program.expect("outbox")
        if not waiting:
            return dropped
        await asyncio.sleep(0.05)


def test_messages_are_kept_without_a_connection(testbed, outbox_settings):
    async def scenario():
        async with testbed.device_behind_network(outbox=outbox_settings) as made:
            service, device_id, program, network = made
            await program.tell("send", "before")
            await program.expect("sent", "before")
            await cut(service, device_id, program, network)
            start = datetime.now(timezone.utc).replace(microsecond=0)
            for number in range(30):  # more than a window
                await program.tell("send", f"kept {number}")
                await program.expect("sent", f"kept {number}")
            end = datetime.now(timezone.utc)
            await program.tell("outbox")
            await program.expect("outbox", 30, 0)
            if outbox_settings["path"]:
                assert os.listdir(outbox_settings["path"])
            network.server.accepting = True
            await program.expect("state", True)
            await program.tell("send", "after")
            await program.expect("sent", "after")
            found = await bodies(service, device_id, 32)
            kept = [f"kept {number}" for number in range(30)]
            assert list(found) == ["before", *kept, "after"]
            for body in kept:
                text = found[body]["annotations"][CREATED]
                assert start <= datetime.fromisoformat(text.replace("Z", "+00:00")) <= end
            for body in ("before", "after"):
                assert CREATED not in found[body]["annotations"]
            assert await emptied(program) == 0
            if outbox_settings["path"]:
                assert os.listdir(outbox_settings["path"]) == []

    testbed.run(scenario)


def test_messages_in_flight_are_sent_again_after_a_loss(testbed, outbox_settings):
    async def scenario():
        async with testbed.device_behind_network(outbox=outbox_settings) as made:
            service, device_id, program, network = made
            await program.tell("send many", 60)
            await bodies(service, device_id, 1)
            await cut(service, device_id, program, network)
            if ["sent", 60] not in program.said:  # those that had not arrived are kept now
                await program.expect("sent", 60)
            network.server.accepting = True
            await program.expect("state", True)
            assert list(await bodies(service, device_id, 60)) == [f"m{i}" for i in range(60)]
            assert await emptied(program) == 0

    testbed.run(scenario)


def test_flash_queue_survives_power_loss(testbed, tmp_path):
    async def scenario():
        box = {"path": str(tmp_path / "outbox")}
        async with testbed.device_behind_network(outbox=box) as made:
            service, device_id, program, network = made
            key = (await service.get_device(device_id))["authentication"]["symmetricKey"]
            await cut(service, device_id, program, network)
            for number in range(20):
                await program.tell("send", f"kept {number}")
                await program.expect("sent", f"kept {number}")
            program.kill()
            text = testbed.connection_string(device_id, key["primaryKey"])
            async with testbed.program("device", connection_string=text, outbox=box) as again:
                await again.expect("ready")
                found = await bodies(service, device_id, 20)
                assert list(found) == [f"kept {number}" for number in range(20)]
                assert await emptied(again) == 0

    testbed.run(scenario)


def test_messages_are_kept_before_the_first_connection(testbed, outbox_settings):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            async with SimulatedNetwork(testbed.port) as network:
                network.server.accepting = False
                text = testbed.connection_string(device_id, key, port=network.port)
                settings = {"connection_string": text, "outbox": outbox_settings, "offline": True}
                async with testbed.program("device", **settings) as program:
                    await program.expect("ready")
                    await program.tell("send", "first")
                    await program.expect("sent", "first")
                    await program.expect("background")  # it has tried to connect
                    network.server.accepting = True
                    await program.tell("send", "second")
                    await program.expect("sent", "second")
                    found = await bodies(service, device_id, 2)
                    assert list(found) == ["first", "second"]

    testbed.run(scenario)


def test_full_outbox_drops_the_oldest(testbed, outbox_settings):
    async def scenario():
        box = {**outbox_settings, "limit": 4096}
        async with testbed.device_behind_network(outbox=box) as made:
            service, device_id, program, network = made
            await cut(service, device_id, program, network)
            for number in range(20):
                text = f"{number:03}" + "x" * 500
                await program.tell("send", text)
                await program.expect("sent", text)
            await program.tell("outbox")
            waiting, dropped = await program.expect("outbox")
            assert waiting + dropped == 20
            assert 4 <= waiting < 8
            network.server.accepting = True
            late = await emptied(program)  # what was on its way when it was dropped may arrive
            found = [int(body[:3]) for body in await bodies(service, device_id, 20 - late)]
            assert found == sorted(found)
            assert found[-waiting:] == list(range(dropped, 20))

    testbed.run(scenario)


def test_full_outbox_refuses_the_newest(testbed, outbox_settings):
    async def scenario():
        box = {**outbox_settings, "limit": 4096, "drop": "newest"}
        async with testbed.device_behind_network(outbox=box) as made:
            service, device_id, program, network = made
            await cut(service, device_id, program, network)
            refused = []
            for number in range(20):
                await program.tell("send", f"{number:03}" + "x" * 500)
                word = await program.expect_any("sent", "error")
                if word[0] == "error":
                    assert word[1:] == ["OutboxFullError", "outbox", None]
                    refused.append(number)
            kept = 20 - len(refused)
            assert refused == list(range(kept, 20))
            assert 4 <= kept < 8
            network.server.accepting = True
            found = await bodies(service, device_id, kept)
            assert [int(body[:3]) for body in found] == list(range(kept))
            assert await emptied(program) == len(refused)

    testbed.run(scenario)


def test_disconnect_keeps_unacknowledged_messages(testbed, outbox_settings):
    async def scenario():
        async with testbed.device_behind_network(outbox=outbox_settings) as made:
            service, device_id, program, _ = made
            await program.tell("disconnect")
            await program.expect("disconnected")
            await program.tell("send", "while away")  # connects by itself
            await program.expect("sent", "while away")
            assert list(await bodies(service, device_id, 1)) == ["while away"]
            assert await emptied(program) == 0

    testbed.run(scenario)


def test_outbox_is_passed_on_from_a_connecting_client(testbed, outbox_settings):
    async def scenario():
        async def silent(reader, _):
            await reader.read()

        async with TcpServer(silent) as server, testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            settings = {
                "connection_string": testbed.connection_string(device_id, key),
                "silent": server.port,
                "box": outbox_settings,
            }
            async with testbed.program("successor", **settings) as program:
                await program.expect("sent")
            assert list(await bodies(service, device_id, 2)) == ["first", "second"]

    testbed.run(scenario)


def test_many_large_messages_at_once_write_nothing_to_flash(testbed, tmp_path):
    async def scenario():
        folder = str(tmp_path / "outbox")
        box = {"path": folder}
        async with testbed.device_behind_network(outbox=box, heap="1024wK") as made:
            service, device_id, program, network = made
            await program.tell("send many large", 50)
            await program.expect("sent", 50)
            assert not [word for word in program.said if word[0] in ("error", "background")]
            found = await bodies(service, device_id, 50)
            assert list(found) == [f"{number:02}" + "x" * 4000 for number in range(50)]
            await cut(service, device_id, program, network)
            await program.tell("send", "kept")
            await program.expect("sent", "kept")
            # The numbers of the files count up: this is the first one that was ever written.
            assert os.listdir(folder) == ["00000001.log"]

    testbed.run(scenario)
