"""Sends numbered messages, many at once, until each is acknowledged; fills its heap now and then.

It says how far it is, which cloud-to-device messages were handled, and its heap.
"""

import asyncio
import gc

from harness import make, run, say, settings, whole_heap, word

SENDERS = 8


class Chaos:
    """While the heap may be full, only what expects a MemoryError allocates."""

    def __init__(self):
        self.client = make()
        self.client.on_message_received = self.on_message
        self.client.on_background_exception = self.on_error
        self.next = self.failures = self.fills = 0
        self.sending = SENDERS
        self.handled = []

    def on_message(self, message):
        self.handled.append(int(message.data))

    def on_error(self, error):
        say("error", repr(error)[:200])  # where there is no heap for that, it is not said

    async def send(self):
        while self.next < settings["count"]:
            number = self.next
            self.next += 1
            acknowledged = False
            while not acknowledged:
                try:
                    await self.client.send_message(str(number))
                    acknowledged = True
                except (OSError, MemoryError):
                    self.failures += 1
                if not acknowledged:
                    await asyncio.sleep_ms(50)
        self.sending -= 1

    async def fill(self):
        """Take all of the heap for a moment, again and again."""
        while self.sending:
            await asyncio.sleep_ms(settings["fill"])
            held = whole_heap()
            self.fills += 1
            await asyncio.sleep_ms(300)
            del held

    async def tell(self):
        """Say how far it is, and what was handled, once there is heap for that."""
        while True:
            await asyncio.sleep_ms(300)  # sleep(0.3) would take heap
            try:
                some = self.handled[:50]
                gc.collect()
                say("at", gc.mem_alloc(), some)
                self.handled = self.handled[len(some) :]
            except MemoryError:
                pass

    async def main(self):
        await self.client.connect(retry=True)
        for start in [self.send] * SENDERS + [self.tell, self.fill]:
            asyncio.create_task(start())
        while self.sending:
            await asyncio.sleep_ms(100)
        await asyncio.sleep_ms(2000)  # until fill() has ended
        say("sent", self.failures, self.fills, self.client.status()["connections"])
        while await word() != "end":
            pass
        await self.client.shutdown()


run(lambda: Chaos().main())
