"""Sends numbered messages, many at once; reports its progress and its heap."""

import asyncio
import gc

from harness import make, run, say, settings

SENDERS = 16


def held():
    """Bytes of heap in use, or on CPython the number of objects."""
    gc.collect()
    gc.collect()
    return gc.mem_alloc() if hasattr(gc, "mem_alloc") else len(gc.get_objects())


class Numbers:
    def __init__(self):
        self.next = 0

    async def send(self, client, end):
        while self.next < end:
            number = self.next
            self.next += 1
            await client.send_message(str(number))


async def level(client):
    """The heap in use at rest, with nothing in the outbox: the least of several looks, for a fault
    may strike meanwhile, and two connections hold more than one.
    """
    looks = []
    while len(looks) < 10:
        await asyncio.sleep(0.1)
        status = client.status()
        kept = status["outbox"]["waiting"] if status.get("outbox") else 0
        if client.connected and not status["waiting"] and not kept:
            looks.append(held())
    say("held", min(looks))


async def main():
    client = make()
    client.on_background_exception = lambda error: None
    client.on_message_received = lambda message: None
    await client.connect()
    numbers = Numbers()
    for end in range(settings["step"], settings["count"] + 1, settings["step"]):
        await asyncio.gather(*[numbers.send(client, end) for _ in range(SENDERS)])
        if end in (settings["warm"], settings["count"]):
            await level(client)
        say("at", end)
    await client.shutdown()


run(main)
