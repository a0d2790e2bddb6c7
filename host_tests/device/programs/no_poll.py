"""A device whose socket finds no memory in MicroPython's set of sockets to poll, once."""

import asyncio
import sys

import micropython
from harness import make, run, say


class Poller:
    """asyncio's poller; the heap is full in the next register() of a socket."""

    def __init__(self, poller):
        self.full = False
        self.modify, self.unregister, self.ipoll = poller.modify, poller.unregister, poller.ipoll
        self._poller = poller

    def register(self, stream, events):
        full, self.full = self.full, False
        if full:
            # There is room for the key: what is missing is the memory for what the key stands for.
            self._poller.register(sys.stdin, events)
            self._poller.unregister(sys.stdin)
            micropython.heap_lock()
        try:
            self._poller.register(stream, events)
        finally:
            if full:
                micropython.heap_unlock()


async def main():
    client = make()
    await client.connect()
    await client.send_message("before")
    queue = asyncio.core._io_queue
    queue.poller = poller = Poller(queue.poller)
    for number in range(3):
        poller.full = True
        while poller.full:
            await client.send_message("during")
        await client.send_message("after")
        say("works", number)
    await client.shutdown()


run(main)
