"""A board that sleeps: connect, send what is queued, take what waits, say good-bye, sleep again.

What is queued leaves in one flight with CONNECT, so a visit costs a few round trips beyond TLS's.
"""

import asyncio

from .compat import ticks_diff, ticks_ms
from .messages import Message

_MARK = b"iothub"


async def visit(client, messages=(), reported=None, memory=None, linger=0.5, sleep=None):
    """One visit to the hub; how many messages and changes the handlers were given.

    messages: Messages (or str, or bytes) to send; reported: a dict of properties to report.
    memory: what survives the sleep, such as machine.RTC().memory: memory() -> bytes, and
    memory(bytes). It keeps the desired properties' $version, so that they are told only when
    they have changed.
    linger: after so many seconds in which nothing came, nothing is taken to wait any more.
    sleep: a function called at the end, such as lambda: machine.deepsleep(60000). With it errors
    are reported to the client's on_background_exception, else they are raised.
    """
    try:
        return await _visit(client, messages, reported, memory, linger)
    except Exception as error:
        if sleep is None:
            raise
        client.problem(error)
        await asyncio.sleep(0.1)  # for a handler that writes it down
        return 0
    finally:
        if sleep is not None:
            sleep()


async def _visit(client, messages, reported, memory, linger):
    before = client.handled
    desired = client._desired if memory is not None else None
    if desired is not None:
        desired.known = _recalled(memory())
    # Begun before there is a connection: they wait in the session, and leave with CONNECT.
    sending = [asyncio.create_task(_send(client, message)) for message in messages]
    try:
        await asyncio.sleep(0)
        await client.connect()
        if reported is not None:
            await client.patch_twin_reported_properties(reported)
        for task in sending:
            await task
        await _quiet(client, linger)
        if desired is not None and desired.section is not None:
            memory(_MARK + desired.section["$version"].to_bytes(4, "big"))
        return client.handled - before
    finally:
        for task in sending:
            task.cancel()
        await client.shutdown()


async def _send(client, message):
    message = message if isinstance(message, Message) else Message(message)
    box = client._transport if client._outbox is None else client._outbox
    await box.send_message(message)


async def _quiet(client, linger):
    """Return once everything that came has been dealt with, and nothing more comes."""
    before, since = None, ticks_ms()
    while ticks_diff(ticks_ms(), since) < linger * 1000:
        await asyncio.sleep(0.05)
        now = client.handled, 0 if client._outbox is None else len(client._outbox)
        if now != before or not client.calm():
            before, since = now, ticks_ms()


def _recalled(data):
    if len(data) == 10 and data[:6] == _MARK:
        return int.from_bytes(data[6:], "big")
    return None
