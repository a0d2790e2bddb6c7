"""A device whose program fills the heap for a while, as the test's word says, and frees it."""

import asyncio
import json

from harness import describe, make, run, say, whole_heap, word


async def fill(seconds):
    """Take all of the heap, and keep it for so long."""
    held = whole_heap()
    await asyncio.sleep_ms(seconds * 1000)
    del held


async def main():
    client = make(handler_timeout=3)
    client.on_message_received = lambda message: say("message", message.data.decode())
    client.on_method_request_received = lambda request: (200, request.payload)
    client.on_twin_desired_properties_patch_received = lambda patch: say("desired", patch)
    client.on_connection_state_change = lambda: say("state", client.connected)
    client.on_background_exception = lambda error: say("background", *describe(error))
    await client.connect()
    say("ready")
    while True:
        verb, argument = json.loads(await word())
        if verb == "end":
            break
        if verb == "fill":
            say("filling")
            await fill(argument)
            say("freed")
        else:
            try:
                await client.send_message(argument)
                say("sent", argument)
            except Exception as error:
                say("not sent", *describe(error))
    await client.shutdown()


run(main)
