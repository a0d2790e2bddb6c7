"""Several wake-ups of a board that sleeps in between: only `memory` survives."""

import asyncio

from harness import describe, make, run, say, settings

from iothub.deep_sleep import run_cycle


class Memory:
    """In place of machine.RTC().memory."""

    def __init__(self):
        self.data = b""

    def __call__(self, data=None):
        if data is not None:
            self.data = bytes(data)
        return self.data


async def life(memory, number):
    client = make()
    client.on_message_received = lambda message: say("message", message.data.decode())
    client.on_twin_desired_properties_patch_received = lambda patch: say("desired", patch)
    client.on_background_exception = lambda error: say("background", *describe(error))
    queued = ["life {}, reading {}".format(number, i) for i in range(settings["queued"])]
    slept = []
    reported = {"life": number} if settings["report"] else None
    count = await run_cycle(client, queued, reported, memory, sleep=lambda: slept.append(1))
    say("slept", number, count, len(slept))


async def bare():
    client = make()
    await client.connect()
    await client.shutdown()
    say("bare")


async def main():
    if settings["lives"] == 0:
        await bare()
    memory = Memory()
    for number in range(settings["lives"]):
        await asyncio.wait_for(life(memory, number), 30)


run(main)
