"""One client is shut down while it connects; another takes over its outbox."""

import asyncio

from harness import make, run, say, settings

from iothub import Message, Outbox, ProxyOptions


async def main():
    outbox = Outbox(**settings["box"])
    silent = ProxyOptions("HTTP", "localhost", settings["silent"])
    first = make(outbox=outbox, proxy_options=silent, timeout=1)
    first.on_background_exception = lambda error: None
    sending = asyncio.create_task(first.send_message(Message("first")))
    while repr(first).find("connecting") < 0:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await first.shutdown()
    await sending
    second = make(outbox=outbox)
    await second.connect()
    await second.send_message(Message("second"))
    while len(outbox):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await second.shutdown()
    say("sent")


run(main)
