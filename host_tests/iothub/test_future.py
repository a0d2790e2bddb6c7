"""iothub.future: futures that are awaited without a coroutine, in both interpreters."""

import asyncio

from iothub.future import DONE, Bell, Once, coroutine


class Kept(Once):
    """A future that notes when its awaiter gives up."""

    left = 0

    def given_up(self):
        self.left += 1


def on_loop(main):
    return asyncio.run(asyncio.wait_for(main(), 10))


def test_result_is_set_before_or_after_the_await():
    async def main():
        await coroutine(DONE)
        await coroutine(DONE)
        first = Once()
        first.settle()
        await first
        later = Once()
        task = asyncio.create_task(coroutine(later))
        await asyncio.sleep(0)
        assert not task.done()
        later.settle()
        await task

    on_loop(main)


def test_exception_is_raised_at_the_await():
    async def main():
        failing = Once()
        task = asyncio.create_task(coroutine(failing))
        await asyncio.sleep(0)
        failing.settle(OSError("no"))
        try:
            await task
        except OSError as error:
            return str(error)
        return None

    assert on_loop(main) == "no"


def test_futures_are_gathered_in_any_order():
    async def main():
        all_of_them = [Once() for _ in range(5)]
        tasks = [asyncio.create_task(coroutine(one)) for one in all_of_them]
        for one in reversed(all_of_them):
            await asyncio.sleep(0)
            one.settle()
        await asyncio.gather(*tasks)

    on_loop(main)


def test_future_can_be_set_after_its_await_timed_out():
    async def main():
        kept = Kept()
        try:
            await asyncio.wait_for(coroutine(kept), 0.01)
        except asyncio.TimeoutError:
            kept.settle()
            return kept.left
        return None

    assert on_loop(main) == 1


def test_cancelled_await_cancels_the_future():
    async def main():
        kept = Kept()

        async def waiter():
            await kept

        task = asyncio.create_task(waiter())
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return kept.left
        return None

    assert on_loop(main) == 1


def test_auto_reset_event_wakes_once():
    async def main():
        bell = Bell()
        bell.ring()
        bell.ring()
        await bell
        heard = []

        async def listen():
            await bell
            heard.append(1)

        task = asyncio.create_task(listen())
        await asyncio.sleep(0)
        assert not heard
        bell.ring()
        await task

    on_loop(main)
