"""kill -9 of the hub: what it had acknowledged is there after a restart."""

import asyncio

from host_tests.support.amqp_peer import open_peer
from iothub.amqp.composites import DISPOSITION
from iothub.amqp.sections import AmqpMessage
from iothub.sas import sas_token
from tools.local_hub import running_hub
from tools.service.client import ServiceClient


def test_settled_telemetry_survives_kill_9(tmp_path):
    acknowledged = asyncio.run(fill(tmp_path))
    assert acknowledged
    asyncio.run(look(tmp_path, acknowledged))


async def device_peer(hub, service):
    made = await service.create_device("dev")
    key = made["authentication"]["symmetricKey"]["primaryKey"]
    peer = await open_peer(hub["amqp_plain_port"])
    token = sas_token("localhost/devices/dev", key, 2**32)
    assert await peer.sasl("PLAIN", f"\0dev@sas.localhost\0{token}".encode()) == 0
    await peer.open()
    await peer.begin()
    return peer


async def fill(folder):
    """Send telemetry and kill the hub meanwhile: the number of acknowledged messages."""
    async with (
        running_hub(folder) as hub,
        ServiceClient.create_for_local_hub(hub) as service,
    ):
        peer = await device_peer(hub, service)
        await service.send_c2d_message("dev", b"waits", ack="full", message_id="w")
        handle = await peer.sender("/devices/dev/messages/events")
        acknowledged = -1
        for number in range(150):
            peer.transfer(handle, AmqpMessage(str(number).encode()).encode())
        while acknowledged < 40:
            acknowledged = (await peer.expect(DISPOSITION)).last
        hub.process.kill()
        return acknowledged + 1


async def look(folder, acknowledged):
    async with (
        running_hub(folder) as hub,
        ServiceClient.create_for_local_hub(hub) as service,
    ):
        events = await service.local.stored_events("dev")
        bodies = [event["body"] for event in events if event["body"].isdigit()]
        assert bodies[:acknowledged] == [str(n).encode() for n in range(acknowledged)]
        record = await service.get_device("dev")
        assert record["cloudToDeviceMessageCount"] == 1
