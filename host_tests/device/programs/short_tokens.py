"""A device that uses all features while its tokens expire one after the other."""

import asyncio
import gc

from harness import describe, make, run, say, settings

if not hasattr(gc, "mem_alloc"):  # CPython
    gc.mem_alloc = lambda: 0


async def main():
    client = make(sastoken_ttl=settings["life"])
    lives, token = 0, None  # what is counted must not grow the heap that is measured
    received = 0

    def on_message(message):
        nonlocal received
        received += 1

    client.on_message_received = on_message
    client.on_method_request_received = lambda request: (200, request.payload)
    client.on_background_exception = lambda error: say("background", *describe(error))
    client.on_connection_state_change = lambda: say("state", client.connected)
    carrier = getattr(client._transport, "_link", None) or client._transport._wire
    await client.connect()
    say("ready")
    number = 0
    while lives < settings["lives"]:
        number += 1
        await client.send_message(str(number))
        await client.patch_twin_reported_properties({"n": number})
        if carrier.token != token:
            lives, token = lives + 1, carrier.token
            if lives % 10 == 0:
                gc.collect()
                say("lives", lives, gc.mem_alloc())
        await asyncio.sleep(0.05)
    await client.shutdown()
    say("sent", number, received)


run(main)
