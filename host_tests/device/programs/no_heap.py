"""A device whose allocations fail, all of them, for a moment that is drawn, again and again.

Each round does something with the client meanwhile. Then the client has to work: [round, what the
operations of the round ended with].
"""

import asyncio
import gc
import random
import time

import micropython
from harness import make, run, say, settings

_PATIENCE = 30  # seconds for a client to work again


async def starve(before, turns):
    """Let every allocation fail for so many turns of the loop, `before` ms from now."""
    await asyncio.sleep_ms(before)
    micropython.heap_lock()
    while turns:
        turns -= 1
        await asyncio.sleep_ms(0)
    micropython.heap_unlock()


async def outcome(operation, ended=None):
    """How an operation ended; it is added to the list `ended`."""
    try:
        await operation
        how = "done"
    except asyncio.CancelledError:
        how = "cancelled"
    except Exception as error:
        how = type(error).__name__
    if ended is not None:
        ended[0] += 1
        ended[ended[0]] = how
    return how


async def reconnect(client):
    await client.disconnect()
    await client.connect()


async def play(client, number):
    """The operations of a round, which go on while the allocations fail: how they ended."""
    operations = [client.send_message("during " + str(number))]
    if number % 3 == 0:
        operations.append(client.patch_twin_reported_properties({"round": number}))
    if number % 3 == 1:
        operations.append(client.get_twin())
    if number % 4 == 0:
        operations.append(reconnect(client))
    ended = [0] + [None] * len(operations)
    for operation in operations:
        asyncio.create_task(outcome(operation, ended))
    starving = asyncio.create_task(starve(random.randrange(30), random.randrange(1, 200)))
    until = time.ticks_add(time.ticks_ms(), _PATIENCE * 1000)
    while ended[0] < len(operations) or not starving.done():  # this waits without an allocation
        await asyncio.sleep_ms(2)
        if time.ticks_diff(until, time.ticks_ms()) < 0:
            raise OSError("it does not end", ended, client.status())
    return ended[1:]


async def work(client, number):
    """Show that the client works: telemetry arrives."""
    until = time.ticks_add(time.ticks_ms(), _PATIENCE * 1000)
    task = asyncio.create_task(outcome(client.send_message("after " + str(number))))
    while not task.done():
        if time.ticks_diff(until, time.ticks_ms()) < 0:
            raise OSError("the client does not work", client.status())
        await asyncio.sleep_ms(5)
    ended = await task
    if ended != "done":
        say("again", ended)
        await work(client, number)


async def main():
    random.seed(settings["seed"])
    client = make()
    client.on_message_received = lambda message: say("message", message.data.decode())
    client.on_method_request_received = lambda request: (200, request.payload)
    client.on_twin_desired_properties_patch_received = lambda patch: None
    client.on_connection_state_change = lambda: None
    client.on_background_exception = lambda error: None
    await client.connect()
    say("ready")
    for number in range(settings["count"]):
        ended = await play(client, number)
        await work(client, number)
        gc.collect()
        say("round", number, ended, gc.mem_alloc())
    await client.shutdown()


run(main)
