"""From nothing to the first acknowledged message, with all handlers set and the twin read.

On MicroPython; first_message_azure.py does the same by azure-iot-device, which cannot send before
connect() has returned.
"""

import asyncio
import json
import sys

from iothub import IoTHubDeviceClient

settings = json.loads(sys.stdin.readline())


async def main():
    client = IoTHubDeviceClient.create_from_connection_string(
        settings["connection_string"],
        server_verification_cert=settings["ca"],
        timeout=20,
    )
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
    print(json.dumps("acknowledged"))
    sys.stdin.readline()


asyncio.run(main())
