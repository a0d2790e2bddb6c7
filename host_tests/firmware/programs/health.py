"""Report health, twice at once and again when told to."""

import json

from harness import make, run, say, settings, word

from iothub.health import Health


async def main():
    client = make()
    client.on_background_exception = lambda error: None
    client.on_connection_state_change = lambda: say("state", client.connected)
    health = Health(client, "power on", settings["every"])
    await client.connect()
    say("reported", await health.report(), await health.report())
    while json.loads(await word())[0] != "end":
        say("reported", await health.report())
    await client.shutdown()


run(main)
