"""Telemetry by aiomqttc, whose publish() looks for its PUBACK every 0.1 s: many tasks send.

It logs a line with the time of machine.RTC for each PUBACK; the unix port has no machine.RTC.
"""

import asyncio
import sys
import time

import telemetry
from program import context, settings


class Machine:
    class RTC:
        def datetime(self):
            year, month, day, hour, minute, second, weekday = time.gmtime()[:7]
            return year, month, day, weekday, hour, minute, second, 0


sys.modules["machine"] = Machine

from aiomqttc import MQTTClient  # noqa: E402 (it imports machine)

client = MQTTClient(
    client_id="aiomqttc",
    server=settings["host"],
    port=settings["port"],
    keepalive=600,
    ssl=context(),
)


async def connect():
    if not await client.connect():
        raise OSError("not connected")


async def send_some(count):
    for _ in range(count):
        if not await client.publish(telemetry.topic, telemetry.payload, qos=1):
            raise OSError("not published")


async def send_all(count):
    senders = settings["senders"]
    shares = [(count + number) // senders for number in range(senders)]
    await asyncio.gather(*map(send_some, shares))


asyncio.run(connect())
telemetry.measure(lambda count: asyncio.run(send_all(count)))
