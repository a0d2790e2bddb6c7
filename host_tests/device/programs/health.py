"""Reports health twice at once, and again on command."""

import json

from harness import make, run, say, settings, word

from iothub import health as health_module
from iothub import supervisor
from iothub.compat import uptime
from iothub.health import Deadlines, Health


async def missed_after_a_pause(client):
    """Deadlines.missed() right after a client that was disconnected for a minute has connected."""
    deadlines = Deadlines(client)
    found = [deadlines.missed()]
    await client.disconnect()
    found.append(deadlines.missed())
    for module in (health_module, supervisor):
        module.uptime = lambda: uptime() + 60
    await client.connect()
    return found + [deadlines.missed()]


async def main():
    client = make()
    client.on_background_exception = lambda error: None
    client.on_connection_state_change = lambda: say("state", client.connected)
    health = Health(client, "power on", settings["every"])
    await client.connect()
    say("reported", await health.report(), await health.report())
    while True:
        verb = json.loads(await word())[0]
        if verb == "end":
            break
        if verb == "pause":
            say("missed", await missed_after_a_pause(client))
        else:
            say("reported", await health.report())
    await client.shutdown()


run(main)
