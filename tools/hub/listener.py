"""Listening on a TCP port: one task for each connection, all of them ended with the listener."""

import asyncio
import contextlib

from ..loopback import listeners

HANDSHAKE_TIMEOUT = 15  # seconds for TLS
STOP_TIMEOUT = 2
BACKLOG = 1024


def peer_name(stream):
    """host:port of a connection's peer, for the log."""
    address = stream.get_extra_info("peername")
    if not address:
        return "unknown peer"
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextlib.asynccontextmanager
async def listening(host, port, contexts, make_connection):
    """Accept connections; yields the port, which is a free one if `port` is 0.

    contexts: tls.Contexts, or None for a port without TLS. make_connection(reader, writer, chain)
    makes an object with run(), which serves one connection to its end, and close(reason).
    """
    running = {}

    async def accept(reader, writer):
        chain = contexts.chain(writer) if contexts else ()
        connection = make_connection(reader, writer, chain)
        running[connection] = asyncio.current_task()
        try:
            with contextlib.suppress(asyncio.CancelledError):  # the hub stops
                await connection.run()
        finally:
            del running[connection]

    tls = {"ssl": contexts.first, "ssl_handshake_timeout": HANDSHAKE_TIMEOUT} if contexts else {}
    sockets = listeners(host, port, BACKLOG)
    servers = [
        await asyncio.start_server(accept, sock=one, backlog=BACKLOG, **tls) for one in sockets
    ]
    try:
        yield sockets[0].getsockname()[1]
    finally:
        for server in servers:
            server.close()
        tasks = list(running.values())
        for connection in list(running):
            connection.close("the hub stops")
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
