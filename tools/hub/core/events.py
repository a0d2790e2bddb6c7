"""The event log: telemetry and the hub's own events, in partitions, as an event hub keeps them.

All events of a device go to one partition. Sequence numbers count within a partition; positions
(offsets) grow over the whole log. Source: docs/protocol/eventhubs.md, "Partitions".
"""

import asyncio
import json
import zlib

from .readers import Readers

ENTITY = "iothub-ehub-local"  # the event hub's name
PARTITIONS = 4
_encode = json.JSONEncoder(ensure_ascii=False).encode
_COLUMNS = "partition, sequence, position, enqueued, properties, body"
_START = {
    "sequence": "sequence",
    "offset": "position",
    "enqueued": "CAST(enqueued * 1000 AS INTEGER)",
}


def partition_of(device_id):
    """The partition of a device: stable across restarts and machines."""
    return zlib.crc32(device_id.encode()) % PARTITIONS


class EventLog:
    """Events are appended, and read once they are on disk. readers: who reads them now."""

    def __init__(self, store, clock):
        self._store = store
        self._clock = clock
        self._sequence = [-1] * PARTITIONS
        self._position = -1
        self.readers = Readers()
        self._grown = [asyncio.Event() for _ in range(PARTITIONS)]

    async def load(self):
        rows = await self._store.query(
            "SELECT partition, max(sequence), max(position) FROM events GROUP BY partition"
        )
        for partition, sequence, position in rows:
            self._sequence[partition] = sequence
            self._position = max(self._position, position)

    def append(self, device_id, body, system, application, annotations):
        """Append an event; returns its sequence number in the device's partition."""
        partition = partition_of(device_id)
        self._sequence[partition] += 1
        self._position += 1
        sequence, enqueued = self._sequence[partition], self._clock()
        properties = {
            "system": system,
            "application": application,
            "annotations": {"iothub-connection-device-id": device_id, **annotations},
        }
        self._store.put(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(partition, sequence, self._position, device_id, enqueued),
            *(_encode(properties), bytes(body)),
        )
        grown, self._grown[partition] = self._grown[partition], asyncio.Event()
        grown.set()
        return sequence

    async def of_device(self, device_id, after, limit=500):
        """The events of a device with a position over `after`, oldest first."""
        return await self._read(
            "device = ? AND position > ? ORDER BY position LIMIT ?", device_id, after, limit
        )

    async def read(self, partition, after, limit):
        """The events of a partition with a sequence number over `after`, oldest first."""
        return await self._read(
            "partition = ? AND sequence > ? ORDER BY sequence LIMIT ?", partition, after, limit
        )

    async def _read(self, where, *parameters):
        await self._store.durable()
        rows = await self._store.query(f"SELECT {_COLUMNS} FROM events WHERE {where}", *parameters)
        return [
            {
                "partition": partition,
                "sequenceNumber": sequence,
                "position": position,
                "enqueued": enqueued,
                "body": body,
                **json.loads(properties),
            }
            for partition, sequence, position, enqueued, properties, body in rows
        ]

    async def before(self, partition, field, value, inclusive):
        """The sequence number before the first event whose `field` is over `value`; -1 for none.

        field: sequence, offset or enqueued (ms since 1970). inclusive: an event whose field
        equals `value` counts too.
        """
        await self._store.durable()
        passed = f"{_START[field]} {'<' if inclusive else '<='} ?"
        rows = await self._store.query(
            f"SELECT max(sequence) FROM events WHERE partition = ? AND {passed}",
            *(partition, value),
        )
        return -1 if rows[0][0] is None else rows[0][0]

    def last(self, partition):
        """The sequence number of the newest event; -1 for none."""
        return self._sequence[partition]

    async def newest(self, partition):
        """The newest event of a partition, or None."""
        found = await self.read(partition, self._sequence[partition] - 1, 1)
        return found[0] if found else None

    async def wait_for_more(self, partition, after, timeout):
        """Wait for an event with a sequence number over `after`, at most `timeout` seconds."""
        grown = self._grown[partition]
        if self._sequence[partition] > after:
            return
        try:
            await asyncio.wait_for(grown.wait(), timeout)
        except asyncio.TimeoutError:
            pass
