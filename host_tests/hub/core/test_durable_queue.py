"""DurableQueue: acknowledgements in order, and none that the database has not earned."""

import asyncio
import contextlib

from tools.hub.core.durable_queue import DurableQueue
from tools.hub.core.errors import StorageError


class Store:
    """durable() returns when the test calls commit(), and fails if that says so."""

    def __init__(self):
        self._waiting = asyncio.Queue()

    async def durable(self):
        done = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(done)
        await done

    async def commit(self, error=None):
        done = await self._waiting.get()
        if error:
            done.set_exception(error)
        else:
            done.set_result(None)


def run(scenario):
    async def main():
        store, heard = Store(), asyncio.Queue()
        queue = DurableQueue(store.durable, heard.put_nowait, heard.put_nowait)
        task = asyncio.create_task(queue.run())
        try:
            await scenario(queue, store, heard)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(asyncio.wait_for(main(), 20))


def test_items_are_sent_in_order_after_the_commit_and_then_is_called_last():
    async def scenario(queue, store, heard):
        await queue.put(1)
        await queue.put(2, lambda: heard.put_nowait("then"))
        await asyncio.sleep(0)
        assert heard.empty()
        await store.commit()
        assert await heard.get() == [1, 2]
        assert await heard.get() == "then"

    run(scenario)


def test_a_failed_commit_drops_its_batch_and_the_next_is_sent():
    async def scenario(queue, store, heard):
        error = StorageError("disk full")
        await queue.put(1, lambda: heard.put_nowait("then"))
        await store.commit(error)
        assert await heard.get() is error
        await queue.put(2)
        await store.commit()
        assert await heard.get() == [2]

    run(scenario)


def test_put_waits_while_a_thousand_items_wait():
    async def scenario(queue, store, heard):
        for number in range(1001):  # the first is in the batch that waits for the commit
            await queue.put(number)
            await asyncio.sleep(0)
        last = asyncio.create_task(queue.put("last"))
        await asyncio.sleep(0)
        assert not last.done()
        await store.commit()
        await last
        assert await heard.get() == [0]

    run(scenario)
