"""Accepts messages with consecutive numbers as fast as it can, until it is killed."""

import asyncio

from harness import make, run, settings

client = make(auto_connect=False)


async def tick():
    while True:
        print()
        await asyncio.sleep(0)


async def main():
    asyncio.create_task(tick())
    if settings["connect"]:
        client.on_background_exception = lambda error: None
        asyncio.create_task(client.connect())
    number = settings["first"]
    while True:
        await client.send_message(str(number))
        print(number)
        number += 1


run(main)
