"""Telemetry by this firmware's client: as many tasks as messages in flight send, and wait."""

import asyncio

import telemetry
from program import device_client, settings

from iothub import Message

client = device_client(window=settings["window"])
message = Message(telemetry.payload)
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
telemetry.measure(lambda count: loop.run_until_complete(burst(count)))
