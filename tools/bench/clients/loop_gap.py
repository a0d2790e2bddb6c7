"""Measures the longest time that asyncio's loop gives no other task a turn: while the client
connects, and while a large message is sent and received.

A probe takes turn after turn, and notes the longest gap between two of them for each stage; what
the TLS handshake computes is a stage of its own. Its result: {stage: µs}.
"""

import asyncio
import gc
import time

gc.threshold(4096)  # as boot.py does

from program import device_client, say, settings  # noqa: E402 (the threshold comes first)

from iothub import Message  # noqa: E402
from iothub.mqtt import transport  # noqa: E402

longest = {}
stage = "idle"
stream = None
dial = transport.dial


async def dial_kept(*arguments):
    """As dial(); the probe looks at the stream."""
    global stream
    stream = await dial(*arguments)
    return stream


transport.dial = dial_kept


def now():
    """The current stage; Stream.stage tells the handshake, which the first write does."""
    if stage == "connect" and stream is not None and stream.stage == "tls":
        return "handshake"
    return stage


async def probe():
    """Take turn after turn; the loop does between them what it would do without the probe."""
    last = time.ticks_us()
    before = now()
    while True:
        await asyncio.sleep(0)
        gap = time.ticks_diff(time.ticks_us(), last)
        longest[before] = max(longest.get(before, 0), gap)
        before = now()
        last = time.ticks_us()


async def main():
    global stage
    client = device_client(max_inbound=settings["size"] + 1024)
    arrived = asyncio.Event()
    large = []

    def on_message(message):
        large.append(len(message.data))
        arrived.set()

    client.on_message_received = on_message
    probing = asyncio.create_task(probe())
    stage = "connect"
    await client.connect()
    payload = bytes(settings["size"])
    stage = "send"
    await client.send_message(Message(payload))
    stage = "receive"
    await client.send_message("ready")
    await asyncio.wait_for(arrived.wait(), 10)
    if large != [settings["size"]]:
        raise ValueError(large)
    await asyncio.sleep(0.05)
    probing.cancel()
    stage = "close"
    await client.shutdown()


asyncio.run(main())
say("result", longest)
