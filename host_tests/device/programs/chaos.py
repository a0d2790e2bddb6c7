"""Sends numbered messages, many at once, until each is acknowledged; fills its heap now and then.

It says how far it is, which cloud-to-device messages were handled, and its heap.
"""

import asyncio
import gc

from harness import make, run, say, settings, word

SENDERS = 8


class Chaos:
    def __init__(self):
        self.client = make()
        self.client.on_message_received = self.on_message
        self.client.on_background_exception = lambda error: None
        self.next = self.failures = self.fills = 0
        self.handled = []
        self.failed = False  # the last message

    def on_message(self, message):
        self.handled.append(int(message.data))

    async def send(self, end):
        while self.next < end:
            number = self.next
            self.next += 1
            while True:
                try:
                    if self.failed:
                        await asyncio.sleep_ms(50)
                        self.failed = False
                    await self.client.send_message(str(number))
                    break
                except (OSError, MemoryError):
                    self.failures += 1
                    self.failed = True

    async def fill(self):
        """Take all of the heap for a moment, again and again."""
        while True:
            await asyncio.sleep_ms(settings["fill"])
            held = None
            try:
                while True:
                    held = (held,)
            except MemoryError:
                pass
            self.fills += 1
            await asyncio.sleep_ms(300)
            held = None

    async def tell(self):
        """Say what was handled, once there is heap for that."""
        while True:
            await asyncio.sleep_ms(300)  # it takes no heap, as sleep(0.3) does
            try:
                some = self.handled[:50]
                say("handled", some)  # nothing, too: the test looks whether all is there
                self.handled = self.handled[len(some) :]
            except MemoryError:
                pass

    async def main(self):
        await self.client.connect(retry=True)
        filling = asyncio.create_task(self.fill())
        telling = asyncio.create_task(self.tell())
        step, count = settings["step"], settings["count"]
        for end in range(step, count + 1, step):
            senders = [asyncio.create_task(self.send(end)) for _ in range(SENDERS)]
            for sender in senders:
                await sender
            try:
                gc.collect()
                say("at", end, gc.mem_alloc(), self.failures, self.fills)
            except MemoryError:
                pass
        filling.cancel()
        await asyncio.sleep(1)
        gc.collect()
        say("sent", gc.mem_alloc(), self.failures, self.fills, self.client.status()["connections"])
        while await word() != "end":
            pass
        telling.cancel()
        await self.client.shutdown()


run(lambda: Chaos().main())
