"""Acknowledgements in order, each sent only once what it acknowledges is on disk."""

import asyncio

from .errors import StorageError

_LIMIT = 1000


class DurableQueue:
    """Hands its items on in batches, after the store has written all that came before them.

    durable: Core.durable. send(items): sends a batch. failed(error): the store could not write,
    and the batch is dropped.
    """

    def __init__(self, durable, send, failed):
        self._durable = durable
        self._send = send
        self._failed = failed
        self._queue = asyncio.Queue(_LIMIT)

    async def put(self, item, then=None):
        """Queue an item, and then() to be called when it has been sent.

        This waits while too many items wait already, so a peer cannot make the hub hold more.
        """
        await self._queue.put((item, then))

    async def run(self):
        """Send what is queued, until the task is cancelled."""
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                await self._durable()
            except StorageError as error:
                self._failed(error)
                continue  # go on emptying the queue: a reader may wait in put()
            self._send([item for item, _ in batch])
            for _, then in batch:
                if then is not None:
                    then()
