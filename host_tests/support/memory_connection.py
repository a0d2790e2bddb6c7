"""A connection in memory between a client's protocol without I/O and a front of the hub.

No socket, no TLS, no timing: the test says in which pieces the bytes arrive, and how many of them
are lost when the connection breaks.
"""

import asyncio

PATIENCE = 10


class PieceReader:
    """In place of an asyncio.StreamReader: each read() returns one piece, as it was fed."""

    def __init__(self):
        self._pieces = asyncio.Queue()
        self._ended = False

    def feed(self, piece):
        """Add a piece; an empty one is the end of the stream."""
        self._pieces.put_nowait(bytes(piece))

    async def read(self, limit):
        piece = b"" if self._ended else await self._pieces.get()
        assert len(piece) <= limit
        self._ended = not piece
        return piece


class MemoryWriter:
    """In place of an asyncio.StreamWriter and of its transport: it collects `data`."""

    def __init__(self, on_close):
        self.transport = self
        self.data = bytearray()
        self.news = asyncio.Event()  # set by each write, and by the end
        self.closed = False
        self._on_close = on_close

    def write(self, data):
        if not self.closed:
            self.data += data
            self.news.set()

    async def drain(self):
        pass

    def close(self):
        self.closed = True
        self.news.set()
        self._on_close(b"")

    abort = close

    def get_extra_info(self, name):
        return None

    def get_write_buffer_size(self):
        return 0


class MemoryConnection:
    """async with MemoryConnection(client, serve, cuts): the hub's serve(reader, writer) runs.

    client: an object with take() -> bytes to send, and feed(bytes). cuts: the sizes of the pieces
    in which bytes arrive on either side, used in turn.
    """

    def __init__(self, client, serve, cuts):
        self._client = client
        self._serve = serve
        self._cuts = cuts
        self._piece = 0
        self._reader = PieceReader()
        self._writer = MemoryWriter(self._reader.feed)
        self._task = None

    async def __aenter__(self):
        self._task = asyncio.create_task(self._serve(self._reader, self._writer))
        return self

    async def __aexit__(self, *_):
        """End the connection: bytes that have not been exchanged are lost."""
        self._writer.close()
        await asyncio.wait_for(self._task, PATIENCE)

    def exchange(self):
        """Pass on all bytes that wait on either side."""
        self.send(self._client.take())
        while self._writer.data:
            received, self._writer.data = self._writer.data, bytearray()
            self.receive(received)
            self.send(self._client.take())

    def send(self, data):
        """Give the hub these bytes, in pieces."""
        for piece in self._pieces(data):
            self._reader.feed(piece)

    def receive(self, data):
        """Give the client these bytes, in pieces."""
        for piece in self._pieces(data):
            self._client.feed(piece)

    def lose(self, sent, received):
        """Pass on at most so many of the bytes that wait on either side; the rest is lost."""
        self.send(self._client.take()[:sent])
        self.receive(self._writer.data[:received])
        self._writer.data = bytearray()

    async def until(self, condition):
        """Exchange until condition() holds."""
        while True:
            self._writer.news.clear()
            self.exchange()
            if condition():
                return
            assert not self._writer.closed or self._writer.data, "the hub closed the connection"
            await asyncio.wait_for(self._writer.news.wait(), PATIENCE)

    def _pieces(self, data):
        at = 0
        while at < len(data):
            size = self._cuts[self._piece % len(self._cuts)]
            self._piece += 1
            yield data[at : at + size]
            at += size
