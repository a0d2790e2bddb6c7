"""A device with a slow handler and a small heap, which sends telemetry beside it."""

import asyncio

from harness import describe, make, run, say, settings


async def telemetry(client):
    number = 0
    while True:
        try:
            await client.send_message(str(number))
            number += 1
        except OSError as error:
            say("not sent", *describe(error))
        await asyncio.sleep(0.2)


async def main():
    client = make()
    fail = list(settings.get("fail", ()))  # once each

    async def on_message(message):
        await asyncio.sleep(settings["seconds"])
        say("message", message.message_id, len(message.data))
        if message.message_id in fail:
            fail.remove(message.message_id)
            raise RuntimeError("the handler fails")

    async def on_desired(patch):
        await asyncio.sleep(settings["seconds"])
        say("desired", patch["$version"])
        raise RuntimeError("the handler fails")

    client.on_message_received = on_message
    if settings.get("desired"):
        client.on_twin_desired_properties_patch_received = on_desired
    client.on_connection_state_change = lambda: say("state", client.connected)
    client.on_background_exception = lambda error: say("background", *describe(error))
    await client.connect()
    say("ready")
    await telemetry(client)  # until the test ends the program


run(main)
