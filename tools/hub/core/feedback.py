"""Feedback on cloud-to-device messages: records of their outcomes, kept until a service has them.

Source: docs/protocol/amqp.md, "Feedback".
"""

import json

_BATCH = 64
LOCK = 60  # seconds that a reader has to settle a batch


class Batch:
    """Records that one reader has locked."""

    def __init__(self, numbers, records, holder, until):
        self.numbers = numbers
        self.records = records
        self.holder = holder
        self.until = until


class Feedback:
    """All records. A reader takes the oldest as a batch, and completes or abandons the batch."""

    def __init__(self, store, clock):
        self._store = store
        self._clock = clock
        self._next = 1
        self._free = {}  # number: record
        self._batches = []
        self._listeners = set()

    async def load(self):
        for number, record in await self._store.query(
            "SELECT number, record FROM feedback ORDER BY number"
        ):
            self._free[number] = json.loads(record)
            self._next = number + 1

    def add_listener(self, listener):
        """Call listener() whenever there may be records to take."""
        self._listeners.add(listener)

    def remove_listener(self, listener):
        self._listeners.discard(listener)

    def add(self, record):
        number, self._next = self._next, self._next + 1
        self._free[number] = record
        self._store.put("INSERT INTO feedback VALUES (?, ?)", number, json.dumps(record))
        self._notify()

    def _notify(self):
        for listener in list(self._listeners):
            listener()

    def take(self, holder):
        """Lock the oldest records for `holder`: a Batch, or None if there are none."""
        if not self._free:
            return None
        numbers = sorted(self._free)[:_BATCH]
        records = [self._free.pop(number) for number in numbers]
        batch = Batch(numbers, records, holder, self._clock() + LOCK)
        self._batches.append(batch)
        return batch

    def complete(self, batch):
        """Forget a batch that the reader has taken. False: its lock had timed out."""
        if batch not in self._batches:
            return False
        self._batches.remove(batch)
        for number in batch.numbers:
            self._store.put("DELETE FROM feedback WHERE number = ?", number)
        return True

    def abandon(self, batch):
        """Free the records of a batch: they will be taken again."""
        if batch in self._batches:
            self._batches.remove(batch)
            self._free.update(zip(batch.numbers, batch.records, strict=True))
            self._notify()

    def release(self, holder):
        """Abandon the batches that `holder` has locked."""
        for batch in [batch for batch in self._batches if batch.holder is holder]:
            self.abandon(batch)

    def expire(self):
        """Abandon the batches whose lock has timed out."""
        now = self._clock()
        for batch in [batch for batch in self._batches if batch.until <= now]:
            self.abandon(batch)
