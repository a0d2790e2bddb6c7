"""SQLite with group commits: many writes, one commit, and whoever waits is told after it.

put() queues a statement; durable() returns once everything put before is on disk. While one
commit runs, the next batch gathers, so the rate does not depend on how slow a commit is.
"""

import asyncio
import itertools
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

log = logging.getLogger("hub.store")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS identities (
    device TEXT, module TEXT, record TEXT, twin TEXT, session TEXT,
    PRIMARY KEY (device, module)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY, device TEXT, module TEXT, properties TEXT, body BLOB,
    deliveries INTEGER);
CREATE TABLE IF NOT EXISTS feedback (
    number INTEGER PRIMARY KEY AUTOINCREMENT, record TEXT);
CREATE TABLE IF NOT EXISTS events (
    partition INTEGER, sequence INTEGER, position INTEGER UNIQUE, device TEXT, enqueued REAL,
    properties TEXT, body BLOB,
    PRIMARY KEY (partition, sequence)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_by_device ON events (device, position);
CREATE TABLE IF NOT EXISTS configurations (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS authorities (name TEXT PRIMARY KEY, pem TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS enrollments (
    kind TEXT, name TEXT, value TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""


class Store:
    """One database file. Open it, put and query, close it."""

    def __init__(self, path):
        self._path = Path(path)
        self.folder = self._path.parent
        self._thread = ThreadPoolExecutor(1, "hub-store")
        self._pending = []  # (statement, parameters), oldest first
        self._waiting = []  # futures of those whose writes are in _pending
        self._writer = None
        self._db = None

    async def open(self):
        await self._run(self._connect)

    def _connect(self):
        self._path.touch(mode=0o600)
        self._db = sqlite3.connect(self._path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        # FULL: a commit is on disk before anybody is told; a killed process loses nothing.
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    async def close(self):
        """Write what is pending, and close."""
        if self._db is not None:
            await self.durable()
            await self._run(self._db.close)
        self._thread.shutdown()

    def put(self, statement, *parameters):
        """Queue a write, in order with all others; it is committed soon, waited for or not."""
        self._pending.append((statement, parameters))
        self._start()

    def _start(self):
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def durable(self):
        """Wait until every write put so far is committed. sqlite3.Error: it could not be."""
        if not self._pending and self._writer is None:
            return
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._start()
        await done

    async def _write(self):
        while self._pending or self._waiting:
            batch, self._pending = self._pending, []
            waiting, self._waiting = self._waiting, []
            error = None
            try:
                await self._run(self._commit, batch)
            except sqlite3.Error as failure:
                log.error("a commit failed: %s", failure)
                error = failure
            for future in waiting:
                if future.done():
                    continue
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)
        self._writer = None

    def _commit(self, batch):
        self._db.execute("BEGIN IMMEDIATE")
        try:
            # The same statement many times over is what a load of telemetry is.
            for statement, run in itertools.groupby(batch, key=lambda write: write[0]):
                self._db.executemany(statement, [parameters for _, parameters in run])
        except sqlite3.Error:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    async def query(self, statement, *parameters):
        """The rows of a SELECT, as of the last commit."""
        return await self._run(lambda: self._db.execute(statement, parameters).fetchall())

    async def _run(self, function, *arguments):
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
