"""DurableQueue: acknowledgements in order, and none that the database has not earned."""

import asyncio
import contextlib

from tools.hub.core.durable_queue import DurableQueue
from tools.hub.core.errors import StorageError


class Store:
    """A store whose commits the test makes: waiting has a future for each call of durable()."""

    def __init__(self):
        self.waiting = asyncio.Queue()

    async def durable(self):
        commit = asyncio.get_running_loop().create_future()
        self.waiting.put_nowait(commit)
        await commit


def run(scenario):
    """Run scenario(queue, store, heard); heard has what was sent, and errors."""

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
        commit = await store.waiting.get()
        assert heard.empty()
        commit.set_result(None)
        assert await heard.get() == [1, 2]
        assert await heard.get() == "then"

    run(scenario)


def test_a_failed_commit_drops_its_batch_and_the_next_is_sent():
    async def scenario(queue, store, heard):
        error = StorageError("disk full")
        await queue.put(1, lambda: heard.put_nowait("then"))
        (await store.waiting.get()).set_exception(error)
        assert await heard.get() is error
        await queue.put(2)
        (await store.waiting.get()).set_result(None)
        assert await heard.get() == [2]

    run(scenario)


def test_put_waits_while_a_thousand_items_wait():
    async def scenario(queue, store, heard):
        await queue.put(0)
        commit = await store.waiting.get()
        for number in range(1, 1001):
            await queue.put(number)
        put = queue.put("last")
        assert put.send(None) is not None, "put() has returned at once"
        put.close()
        commit.set_result(None)
        assert await heard.get() == [0]
        (await store.waiting.get()).set_result(None)
        assert len(await heard.get()) == 1000

    run(scenario)
