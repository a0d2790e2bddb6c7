"""Listening for AMQP, with TLS and without."""

import asyncio
import contextlib

from .connection import Connection

STOP_TIMEOUT = 2
BACKLOG = 1024


@contextlib.asynccontextmanager
async def serving(core, host, port, contexts=None, redirect_port=None):
    """Listen for devices and services; yields the port. contexts: None for a plain port."""
    running = {}

    async def accept(reader, writer):
        chain = contexts.chain(writer) if contexts else ()
        where = redirect_port or writer.get_extra_info("sockname")[1]
        connection = Connection(core, reader, writer, chain, where)
        running[connection] = asyncio.current_task()
        try:
            with contextlib.suppress(asyncio.CancelledError):  # the hub stops
                await connection.run()
        finally:
            del running[connection]

    tls = {"ssl": contexts.first, "ssl_handshake_timeout": 15} if contexts else {}
    server = await asyncio.start_server(accept, host, port, backlog=BACKLOG, **tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        tasks = list(running.values())
        for connection in list(running):
            connection.shut("the hub stops")
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
