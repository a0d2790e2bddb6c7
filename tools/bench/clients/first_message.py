"""Connects, sends one message and reads the twin, with all handlers set, on MicroPython.

first_message_azure.py does the same by azure-iot-device, which cannot send before connect() has
returned.
"""

import asyncio

from program import device_client, say, settings, told


async def main():
    client = device_client(timeout=20)
    twin = asyncio.Event()
    client.on_message_received = print
    client.on_method_request_received = print
    client.on_twin_desired_properties_patch_received = lambda desired: twin.set()
    if settings["await_connect"]:
        await client.connect()
        await client.send_message("first")
    else:
        await asyncio.gather(client.connect(), client.send_message("first"))
    await asyncio.wait_for(twin.wait(), 20)
    say("acknowledged")
    told()


asyncio.run(main())
