"""A device that answers methods, and sends telemetry meanwhile where it is asked to.

Prints {"sent": messages a second}.
"""

import asyncio
import json
import sys
import time

from iothub import IoTHubDeviceClient, Message

settings = json.loads(sys.stdin.readline())
sent = 0


async def send(client, message):
    global sent
    while True:
        await client.send_message(message)
        sent += 1


async def main():
    client = IoTHubDeviceClient.create_from_symmetric_key(
        settings["key"],
        "{host}:{port}".format(**settings),
        settings["device"],
        server_verification_cert=settings["ca"],
        window=settings["window"],
    )
    stopped = asyncio.Event()

    def on_method(request):
        if request.name == "stop":
            stopped.set()
        return request.payload

    client.on_method_request_received = on_method
    await client.connect()
    start = time.ticks_us()
    message = Message(b"x" * 100)
    tasks = [asyncio.create_task(send(client, message)) for _ in range(settings["senders"])]
    await asyncio.wait_for(stopped.wait(), 50)
    seconds = time.ticks_diff(time.ticks_us(), start) / 1e6
    print(json.dumps({"sent": sent / seconds}))
    for task in tasks:
        task.cancel()
    await client.shutdown()


asyncio.run(main())
