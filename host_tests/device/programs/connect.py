"""Connects once; run() reports an error."""

from harness import make, run, say


async def main():
    client = make()
    await client.connect()
    say("connected")
    await client.shutdown()


run(main)
