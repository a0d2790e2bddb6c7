"""This firmware's client, by its public API: as many tasks as messages in flight, each sends and
waits.
"""

import asyncio

import harness
from harness import settings

from iothub import IoTHubDeviceClient, Message

client = IoTHubDeviceClient.create_from_symmetric_key(
    "c2VjcmV0",
    "{host}:{port}".format(**settings),
    harness.device,
    server_verification_cert=settings["ca"],
    window=settings["window"],
)
message = Message(harness.payload)
if "properties" in settings:
    message.custom_properties = settings["properties"]
loop = asyncio.get_event_loop()


async def one(count):
    for _ in range(count):
        await client.send_message(message)


async def burst(count):
    tasks = settings["senders"]
    await asyncio.gather(*[one(count // tasks + (i < count % tasks)) for i in range(tasks)])


loop.run_until_complete(client.connect())
harness.measure(lambda count: loop.run_until_complete(burst(count)))
