"""Sends a message of each kind, then many at once."""

import asyncio

from harness import make, run, say

from iothub import Message


async def main():
    client = make(window=4)
    await client.connect()
    full = Message(
        "é漢字", message_id="m 1", content_type="application/json", content_encoding="utf-8"
    )
    full.correlation_id = "c/1"
    full.user_id = "u&1"
    full.custom_properties = {"plain": "value", "näme": "a b=c&d%e", "empty": ""}
    await client.send_message(full)
    await client.send_message(b"\x00\xff")
    await client.send_message("")
    await asyncio.gather(*[client.send_message("n" + str(i)) for i in range(60)])
    say("sent")
    await client.shutdown()
    say("connected", client.connected)


run(main)
