"""Waits for tasks and for what they do, in both interpreters."""

import asyncio


async def until(condition):
    """Wait until condition() is true."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


async def failure(awaitable):
    """The exception that it raises."""
    try:
        await awaitable
    except Exception as error:
        return error
    raise AssertionError("it raises nothing")


async def cancel(task):
    """Cancel a task, which must end with that."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return
    raise AssertionError("it is not cancelled")
