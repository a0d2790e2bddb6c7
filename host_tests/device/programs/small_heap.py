"""Telemetry, a C2D message and the twin in a small heap."""

import asyncio

from harness import make, run, say

from iothub import Message


async def main():
    client = make()
    arrived = asyncio.Event()

    def on_message(message):
        say("message", message.data.decode())
        arrived.set()

    client.on_message_received = on_message
    await client.connect()
    for number in range(20):
        await client.send_message(Message("telemetry", message_id=str(number)))
    await client.patch_twin_reported_properties({"a": 1})
    twin = await client.get_twin()
    say("twin", twin["reported"])
    await asyncio.wait_for(arrived.wait(), 20)
    await client.shutdown()


run(main)
