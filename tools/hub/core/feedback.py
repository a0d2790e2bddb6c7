"""What became of cloud-to-device messages, kept until a service has taken it.

Source: spec iothub-amqp, "Service links".
"""

import json

_BATCH = 64
LOCK = 60  # seconds a reader has to say what became of a batch


class Batch:
    """Records that one reader has locked."""

    def __init__(self, numbers, records, holder, until):
        self.numbers = numbers
        self.records = records
        self.holder = holder
        self.until = until


class Feedback:
    """The records, oldest first; a reader takes some, and settles them."""

    def __init__(self, store, clock):
        self._store = store
        self._clock = clock
        self._next = 1
        self._free = {}  # number: record
        self._batches = []
        self.listeners = set()  # called when there is something to take

    async def load(self):
        for number, record in await self._store.query(
            "SELECT number, record FROM feedback ORDER BY number"
        ):
            self._free[number] = json.loads(record)
            self._next = number + 1

    def add(self, record):
        number, self._next = self._next, self._next + 1
        self._free[number] = record
        self._store.put("INSERT INTO feedback VALUES (?, ?)", number, json.dumps(record))
        self._tell()

    def _tell(self):
        for listener in list(self.listeners):
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
        """The reader has it: forget it. False: its lock was lost."""
        if batch not in self._batches:
            return False
        self._batches.remove(batch)
        for number in batch.numbers:
            self._store.put("DELETE FROM feedback WHERE number = ?", number)
        return True

    def abandon(self, batch):
        """The records are free again."""
        if batch in self._batches:
            self._batches.remove(batch)
            self._free.update(zip(batch.numbers, batch.records, strict=True))
            self._tell()

    def release(self, holder):
        """Abandon whatever `holder` has locked."""
        for batch in [batch for batch in self._batches if batch.holder is holder]:
            self.abandon(batch)

    def expire(self):
        """Abandon what has been locked for too long."""
        now = self._clock()
        for batch in [batch for batch in self._batches if batch.until <= now]:
            self.abandon(batch)
