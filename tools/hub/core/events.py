"""The event log: what devices sent and what befell them, in partitions, each with its numbers.

A device's events always go to one partition. Source: spec iothub-amqp, "Service links".
"""

import asyncio
import json
import zlib

PARTITIONS = 4


def partition_of(device_id):
    """The partition of a device: stable across restarts and machines."""
    return zlib.crc32(device_id.encode()) % PARTITIONS


class EventLog:
    """append() takes an event in; it is readable once the store is durable."""

    def __init__(self, store, clock):
        self._store = store
        self._clock = clock
        self._sequence = [-1] * PARTITIONS
        self._position = -1
        self._grown = asyncio.Event()

    async def load(self):
        rows = await self._store.query(
            "SELECT partition, max(sequence), max(position) FROM events GROUP BY partition"
        )
        for partition, sequence, position in rows:
            self._sequence[partition] = sequence
            self._position = max(self._position, position)

    def append(self, device_id, body, system, application, annotations):
        """Append an event; its sequence number in the device's partition."""
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
            *(json.dumps(properties, ensure_ascii=False), bytes(body)),
        )
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()
        return sequence

    async def of_device(self, device_id, after, limit=500):
        """The events of a device with a position over `after`, oldest first."""
        await self._store.durable()
        rows = await self._store.query(
            "SELECT partition, sequence, position, enqueued, properties, body FROM events "
            "WHERE device = ? AND position > ? ORDER BY position LIMIT ?",
            *(device_id, after, limit),
        )
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

    async def wait_for_more(self, timeout):
        """Return when an event is appended, or after `timeout` seconds."""
        try:
            await asyncio.wait_for(self._grown.wait(), timeout)
        except asyncio.TimeoutError:
            pass
