"""A device that works on while its tokens end: telemetry, messages, methods, the twin."""

import asyncio
import gc

from harness import describe, make, run, say, settings

if not hasattr(gc, "mem_alloc"):  # CPython
    gc.mem_alloc = lambda: 0


async def main():
    client = make(sastoken_ttl=settings["life"])
    tokens = set()
    received = []
    client.on_message_received = lambda message: received.append(message.data)
    client.on_method_request_received = lambda request: (200, request.payload)
    client.on_background_exception = lambda error: say("background", *describe(error))
    client.on_connection_state_change = lambda: say("state", client.connected)
    carrier = getattr(client._transport, "_link", None) or client._transport._wire
    await client.connect()
    say("ready")
    number = 0
    while len(tokens) < settings["lives"]:
        number += 1
        await client.send_message(str(number))
        await client.patch_twin_reported_properties({"n": number})
        if carrier.token not in tokens:
            tokens.add(carrier.token)
            if len(tokens) % 10 == 0:
                gc.collect()
                say("lives", len(tokens), gc.mem_alloc())
        await asyncio.sleep(0.05)
    await client.shutdown()
    say("sent", number, len(received))


run(main)
