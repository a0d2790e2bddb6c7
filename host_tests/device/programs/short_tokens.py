"""A device that uses all features while its tokens expire one after the other."""

import asyncio
import gc

from harness import describe, make, note_tokens, run, say, settings

if not hasattr(gc, "mem_alloc"):  # CPython
    gc.mem_alloc = lambda: 0


async def main():
    client = make(sastoken_ttl=settings["life"])
    lives = counted = received = 0  # what is counted must not grow the heap that is measured

    def count(token):
        nonlocal lives
        lives += 1

    def on_message(message):
        nonlocal received
        received += 1

    client.on_message_received = on_message
    client.on_method_request_received = lambda request: (200, request.payload)
    client.on_background_exception = lambda error: say("background", *describe(error))
    client.on_connection_state_change = lambda: say("state", client.connected)
    note_tokens(count)
    await client.connect()
    say("ready")
    number = 0
    while lives < settings["lives"]:
        number += 1
        await client.send_message(str(number))
        await client.patch_twin_reported_properties({"n": number})
        await asyncio.sleep(0.05)
        if lives // 10 > counted:
            counted = lives // 10
            gc.collect()
            say("lives", counted * 10, gc.mem_alloc())
    await client.shutdown()
    say("sent", number, received)


run(main)
