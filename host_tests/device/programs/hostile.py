"""A device that goes on working with a hub of hostile bytes until the hub is well again."""

import asyncio

from harness import describe, make, run, say, set_backoff

from iothub.errors import OperationCancelled, RefusedError


def tell(error):
    known = isinstance(error, (OSError, RefusedError, OperationCancelled, ValueError))
    say("known" if known else "unknown", *describe(error))


async def main():
    set_backoff(0.02, 0.05)  # the hub is bad on purpose, and often
    client = make()
    well = asyncio.Event()
    client.on_message_received = lambda message: None
    client.on_method_request_received = lambda request: (200, request.payload)
    client.on_twin_desired_properties_patch_received = lambda patch: "well" in patch and well.set()
    client.on_background_exception = tell
    await client.connect()
    while not well.is_set():
        try:
            await client.send_message("still here")
        except Exception as error:
            tell(error)
    await client.send_message("well again")
    twin = await client.get_twin()
    say("well", twin["desired"]["well"])
    await client.shutdown()


run(main)
