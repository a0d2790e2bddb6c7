"""iothub.compat's Future and AutoResetEvent: awaited without a coroutine, alike in both."""

import asyncio

from iothub.compat import AutoResetEvent, Future, as_coroutine


class Noted(Future):
    """A Future that counts how often its waiting task was cancelled."""

    count = 0

    def abandoned(self):
        self.count += 1


def on_loop(main):
    return asyncio.run(asyncio.wait_for(main(), 10))


async def waits(awaitable):
    return await awaitable


def test_result_that_is_set_before_it_is_awaited():
    async def main():
        future = Future()
        assert not future.done()
        future.set_result(7)
        assert future.done()
        assert (future.value, future.error) == (7, None)
        assert await future == 7
        assert await future == 7  # as often as one likes
        assert await as_coroutine(future) == 7

    on_loop(main)


def test_result_that_is_set_while_it_is_awaited():
    async def main():
        future = Future()
        task = asyncio.create_task(as_coroutine(future))
        await asyncio.sleep(0)
        assert not task.done()
        assert not future.done()
        future.set_result("later")
        assert future.done()
        assert await task == "later"

    on_loop(main)


def test_results_of_every_kind():
    async def main():
        for value in (None, False, 0, "", (), [1], b"x", ValueError("a value")):
            for before in (True, False):
                future = Future()
                if before:
                    future.set_result(value)
                task = asyncio.create_task(waits(future))
                await asyncio.sleep(0)
                if not before:
                    future.set_result(value)
                assert await task is value
                assert future.done()

    on_loop(main)


def test_error_is_raised_where_it_is_awaited():
    async def main():
        error = OSError("no")
        for before in (True, False):
            future = Future()
            if before:
                future.set_exception(error)
            task = asyncio.create_task(as_coroutine(future))
            await asyncio.sleep(0)
            if not before:
                future.set_exception(error)
            try:
                await task
            except OSError as raised:
                assert raised is error
            else:
                raise AssertionError("it is not raised")
            assert future.done()
            assert future.error is error

    on_loop(main)


def test_futures_are_gathered_in_any_order():
    async def main():
        futures = [Future() for _ in range(5)]
        tasks = [asyncio.create_task(as_coroutine(future)) for future in futures]
        for number, future in enumerate(reversed(futures)):
            await asyncio.sleep(0)
            future.set_result(number)
        assert await asyncio.gather(*tasks) == [4, 3, 2, 1, 0]

    on_loop(main)


def test_deadline_abandons_it_and_it_may_still_be_set():
    async def main():
        future = Noted()
        try:
            await asyncio.wait_for(as_coroutine(future), 0.01)
        except asyncio.TimeoutError:
            assert future.count == 1
            assert not future.done()
            future.set_result(5)
            assert await future == 5
            return True
        return False

    assert on_loop(main)


def test_cancelled_task_inside_a_coroutine_abandons_it():
    async def main():
        future = Noted()
        task = asyncio.create_task(waits(future))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            assert future.count == 1
        else:
            raise AssertionError("it is not cancelled")
        # It may be awaited again, by another task.
        again = asyncio.create_task(waits(future))
        await asyncio.sleep(0)
        future.set_result(3)
        assert await again == 3

    on_loop(main)


def test_task_that_is_cancelled_after_the_result_leaves_the_future_done():
    async def main():
        future = Future()
        task = asyncio.create_task(waits(future))
        await asyncio.sleep(0)
        future.set_result(9)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        assert future.done()
        assert await future == 9

    on_loop(main)


def test_event_wakes_once_for_all_that_was_set_before():
    async def main():
        event = AutoResetEvent()
        event.set()
        event.set()
        await event
        woken = []

        async def listen():
            await event
            woken.append(1)

        task = asyncio.create_task(listen())
        await asyncio.sleep(0)
        assert not woken
        event.set()
        await task
        assert woken == [1]

    on_loop(main)


def test_event_of_a_cancelled_task_wakes_the_next_one():
    async def main():
        event = AutoResetEvent()
        first = asyncio.create_task(waits(event))
        await asyncio.sleep(0)
        first.cancel()
        try:
            await first
        except asyncio.CancelledError:
            pass
        second = asyncio.create_task(waits(event))
        await asyncio.sleep(0)
        assert not second.done()
        event.set()
        await second

    on_loop(main)
