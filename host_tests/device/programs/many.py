"""Sends the same message many times, as many at once as the window allows."""

import asyncio

from harness import make, run, say, settings

from iothub import Message

SENDERS = 16


async def main():
    client = make(window=SENDERS)
    message = Message("x")
    await client.connect()

    left = settings["count"]

    async def some():
        nonlocal left
        while left:
            left -= 1
            await client.send_message(message)

    await asyncio.gather(*[some() for _ in range(SENDERS)])
    say("sent", settings["count"], client.status()["connections"])
    await client.shutdown()


run(main)
