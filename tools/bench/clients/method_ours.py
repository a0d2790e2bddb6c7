"""A device that answers direct methods, by this firmware's client.

Sends telemetry meanwhile, from as many tasks as "senders" says. Its result: {"sent": messages a
second}.
"""

import asyncio
import time

from program import device_client, say, settings

from iothub import Message

sent = 0


async def send(client, message):
    global sent
    while True:
        await client.send_message(message)
        sent += 1


async def main():
    client = device_client(window=settings["window"])
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
    say("result", {"sent": sent / seconds})
    for task in tasks:
        task.cancel()
    await client.shutdown()


asyncio.run(main())
