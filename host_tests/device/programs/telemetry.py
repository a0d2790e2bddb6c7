"""Sends a message of each kind, then many at once."""

import asyncio

from harness import describe, make, run, say

from iothub import Message


async def main():
    client = make(window=4)
    client.on_background_exception = lambda error: say("background", *describe(error))
    await client.connect()
    full = Message(
        "é漢字", message_id="m 1", content_type="application/json", content_encoding="utf-8"
    )
    full.correlation_id = "c/1"
    full.user_id = "u&1"
    full.to, full.subject, full.group_sequence = "there", "a subject", 7
    full.expiry_time_utc = "2999-01-02T03:04:05+00:00"
    full.creation_time_utc = "2020-01-01T00:00:00Z"
    full.custom_properties = {"plain": "value", "näme": "a b=c&d%e", "empty": ""}
    await client.send_message(full)
    await client.send_message(b"\x00\xff")
    await client.send_message("")
    await asyncio.gather(*[client.send_message("n" + str(i)) for i in range(60)])
    say("sent")
    await client.shutdown()
    say("connected", client.connected)


run(main)
