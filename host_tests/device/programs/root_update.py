"""A client that trusts the built-in roots, and updates its roots on command."""

import json

from harness import describe, make, run, say, word

from iothub.net.root_update import forget_root, update_root


async def obey(client, verb, argument):
    if verb == "connect":
        await client.connect()
        await client.disconnect()
    elif verb == "update":
        await update_root(client, *argument)
    else:
        forget_root(client)


async def main():
    client = make(server_verification_cert=None)
    say("ready")
    while True:
        verb, argument = json.loads(await word())
        if verb == "end":
            return
        try:
            await obey(client, verb, argument)
            say(verb)
        except Exception as error:
            say("error", *describe(error))


run(main)
