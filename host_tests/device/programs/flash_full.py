"""An outbox on a littlefs that fills up before the outbox's own limit, over several starts.

Said at the end: how many messages were accepted, refused, lost, and counted as dropped.
"""

import asyncio
import os

import vfs
from harness import run, say, settings
from ram_flash import Flash

from iothub import Message, Outbox

taken = set()


async def send(message):
    """A hub that takes everything at once."""
    taken.add(message.payload())


async def main():
    flash = Flash(10)
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), "/flash")
    accepted, refused, dropped = set(), 0, 0
    outbox = None
    for start in range(3):
        if outbox is not None:
            outbox.close()
        outbox = Outbox("/flash/outbox", 200000, settings["drop"])
        taken.clear()
        outbox.start(send, lambda error: None, {"qos": 1, "window": 4})
        outbox.on_state("waiting")
        for number in range(100):
            payload = b"%d %d " % (start, number) + b"x" * 200
            try:
                await outbox.put(Message(payload))
                accepted.add(payload)
            except OSError:
                refused += 1
        dropped += outbox.dropped
    outbox.on_state("connected")
    for _ in range(3000):  # turns of the loop
        if not len(outbox):
            break
        await asyncio.sleep(0)
    say("full", len(accepted), refused, len(accepted - taken), dropped)
    say("left", len(outbox), os.listdir("/flash/outbox"))


run(main)
