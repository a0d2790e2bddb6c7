"""SQLite with group commit: many writes share one transaction.

put() queues a statement. durable() returns once every statement queued before it is on disk.
While one commit runs, the next batch gathers, so the rate does not depend on how slow a commit is.
"""

import asyncio
import itertools
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .errors import StorageError

log = logging.getLogger("hub.store")

# identities.session: the subscriptions of a device that asked to keep them, as JSON.
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
    """One database file. Its methods raise StorageError where SQLite fails."""

    def __init__(self, path):
        self._path = Path(path)
        self._thread = ThreadPoolExecutor(1, "hub-store")
        self._pending = []  # (statement, parameters), oldest first
        self._waiting = []  # futures of the callers of durable() since the last batch
        self._writer = None
        self._database = None

    async def open(self):
        await self._run(self._connect)

    def _connect(self):
        self._path.touch(mode=0o600)
        self._database = sqlite3.connect(self._path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        # FULL: a commit is on disk before durable() returns; a killed process loses nothing.
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_SCHEMA)

    async def close(self):
        """Write what is pending, and close."""
        if self._database is not None:
            await self.durable()
            await self._run(self._database.close)
        self._thread.shutdown()

    def put(self, statement, *parameters):
        """Queue a write, in order with all others. It is committed soon, awaited or not."""
        self._pending.append((statement, parameters))
        self._start()

    def _start(self):
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def durable(self):
        """Wait until every write queued so far is on disk."""
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
            except StorageError as failure:
                log.error("%s", failure)
                error = failure
                # A call of durable() during the commit waits for the same writes: it fails too.
                waiting, self._waiting = waiting + self._waiting, []
            for future in waiting:
                if future.done():
                    continue
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)
        self._writer = None

    def _commit(self, batch):
        self._database.execute("BEGIN IMMEDIATE")
        try:
            # Telemetry under load is the same statement many times: executemany is faster.
            for statement, writes in itertools.groupby(batch, key=lambda write: write[0]):
                self._database.executemany(statement, [parameters for _, parameters in writes])
        except sqlite3.Error:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    async def query(self, statement, *parameters):
        """The rows of a SELECT, as of the last commit."""
        return await self._run(lambda: self._database.execute(statement, parameters).fetchall())

    async def _run(self, function, *arguments):
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, function, *arguments)
        except sqlite3.Error as error:
            reason = f"the hub cannot use its database {self._path.name}: {error}"
            raise StorageError(reason) from error
