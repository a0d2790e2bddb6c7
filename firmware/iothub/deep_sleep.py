"""Deep sleep: one cycle of a board that connects, sends, takes what waits, and sleeps again.

What is sent leaves in one flight with CONNECT, so a cycle costs a few round trips beyond TLS's.
"""

import asyncio

from .compat import ticks_diff, ticks_ms
from .errors import OperationTimeout

_MARK = b"iothub"


async def run_cycle(client, messages=(), reported=None, memory=None, quiet=0.5, sleep=None):
    """Connect, send, receive, disconnect; how many messages and changes handlers were given.

    messages: Messages (or str, or bytes) to send; reported: a dict of properties to report.
    memory: what survives the sleep, such as machine.RTC().memory: memory() -> bytes, and
    memory(bytes). It keeps the desired properties' $version, so that the handler is called only
    when they have changed.
    quiet: the cycle ends when nothing has come for that many seconds.
    sleep: a function called at the end, such as lambda: machine.deepsleep(60000). With it errors
    are reported to the client's on_background_exception; without it they are raised.
    """
    try:
        return await _run(client, messages, reported, memory, quiet)
    except Exception as error:
        if sleep is None:
            raise
        client.report_error(error)
        await asyncio.sleep(0.1)  # for a handler that writes it down
        return 0
    finally:
        if sleep is not None:
            sleep()


async def _run(client, messages, reported, memory, quiet):
    before = client.status()["handled"]
    remembers = memory is not None and client.on_twin_desired_properties_patch_received is not None
    if remembers:
        client.set_twin_version(_recalled(memory()))
    # connect() has begun when the messages are given to it: they leave with CONNECT.
    connecting = asyncio.create_task(client.connect())
    await asyncio.sleep(0)
    sending = [asyncio.create_task(client.send_message(message)) for message in messages]
    try:
        await connecting
        if reported is not None:
            await client.patch_twin_reported_properties(reported)
        for task in sending:
            await task
        await client.wait_idle(quiet)
        version = client.get_twin_version() if remembers else None
        if version is not None:
            memory(_MARK + version.to_bytes(4, "big"))
        return client.status()["handled"] - before
    finally:
        if "outbox" in client.status():
            await client.disconnect()  # a message that waits is kept, and its task ends
        for task in sending:
            task.cancel()
        await client.shutdown()


def _recalled(data):
    if len(data) == 10 and data[:6] == _MARK:
        return int.from_bytes(data[6:], "big")
    return None


# -- methods of the client ------------------------------------------------------------------


async def wait_idle(supervisor, quiet):
    """Return once all that came has been dealt with, and nothing more came for `quiet` seconds.

    OperationTimeout at idle: something comes again and again, for longer than operation_timeout.
    """
    outbox, dispatcher = supervisor.outbox, supervisor.dispatcher
    limit = quiet + supervisor.options["operation_timeout"]
    before, since = None, ticks_ms()
    start = since
    while ticks_diff(ticks_ms(), since) < quiet * 1000:
        if ticks_diff(ticks_ms(), start) > limit * 1000:
            raise OperationTimeout("it is not idle within %g s" % limit, "idle")
        await asyncio.sleep(0.05)
        now = dispatcher.handled, 0 if outbox is None else len(outbox)
        if now != before or not dispatcher.is_idle():
            before, since = now, ticks_ms()


def get_twin_version(supervisor):
    """The $version of the desired properties that the handler was told last, or None."""
    return supervisor.dispatcher.part("twin").version


def set_twin_version(supervisor, version):
    """Say, before connect(), which $version the program knows: the handler is called only if the
    desired properties have changed since.
    """
    supervisor.dispatcher.part("twin").version = version
