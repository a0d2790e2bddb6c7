"""An outbox on a littlefs that fills up before the outbox's own limit, over several starts.

Said at the end: how many messages were accepted, refused, lost, and counted as dropped.
"""

import asyncio
import os

import vfs
from harness import run, say, settings
from ram_flash import Flash

from iothub import Message, Outbox
from iothub.future import DONE, coroutine


class Client:
    _closed = False
    _wanted = True
    _retry = True

    def problem(self, error):
        pass


class Transport:
    """A transport that acknowledges everything at once."""

    def __init__(self):
        self.taken = set()

    def send_message(self, message):
        self.taken.add(message.payload())
        return coroutine(DONE)


async def main():
    flash = Flash(10)
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), "/flash")
    accepted, refused, dropped = set(), 0, 0
    for start in range(3):
        outbox, transport = Outbox("/flash/outbox", 200000, settings["drop"]), Transport()
        outbox.attach(Client(), transport, {"qos": 1, "window": 4})
        outbox.moved(False)
        for number in range(100):
            payload = b"%d %d " % (start, number) + b"x" * 200
            try:
                await outbox.send_message(Message(payload))
                accepted.add(payload)
            except OSError:
                refused += 1
        dropped += outbox.dropped
    outbox.moved(True)
    for _ in range(3000):  # turns of the loop
        if not len(outbox):
            break
        await asyncio.sleep(0)
    say("full", len(accepted), refused, len(accepted - transport.taken), dropped)
    say("left", len(outbox), os.listdir("/flash/outbox"))


run(main)
