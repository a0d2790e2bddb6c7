"""A TCP server on a free port of this machine, which counts, refuses and ends its connections."""

import asyncio

from .loopback import NAME, listeners


class TcpServer:
    """async with TcpServer(serve) as server: connect to server.port.

    serve(reader, writer): a coroutine function that is called for each connection; at its end the
    connection is closed. tls: an SSLContext, or None.
    """

    def __init__(self, serve, tls=None):
        self._serve = serve
        self._tls = tls
        self._servers = []
        self._serving = set()
        self.accepting = True  # False: each new connection is reset
        self.attempts = 0  # connections so far, those that were reset too
        self.refused = asyncio.Event()  # set by each connection that is reset
        self.port = 0

    async def __aenter__(self):
        await self.listen()
        return self

    async def __aexit__(self, *_):
        self.stop_listening()
        self.cut()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def listen(self):
        """Listen on a free port; after stop_listening(), on the same one again."""
        sockets = listeners(NAME, self.port)
        self.port = sockets[0].getsockname()[1]
        for one in sockets:
            self._servers.append(await asyncio.start_server(self._accept, sock=one, ssl=self._tls))

    def stop_listening(self):
        """Refuse new connections, as an unused port does; open connections stay."""
        while self._servers:
            self._servers.pop().close()

    def cut(self):
        """End the open connections."""
        for task in self._serving:
            task.cancel()

    async def _accept(self, reader, writer):
        self.attempts += 1
        if not self.accepting:
            self.refused.set()
            writer.transport.abort()
            return
        task = asyncio.current_task()
        self._serving.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # a broken connection, or __aexit__: asyncio's streams would print the traceback
        finally:
            self._serving.discard(task)
            writer.close()
