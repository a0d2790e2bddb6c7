"""Messages that wait, in RAM: what iothub.outbox.flash_queue is in flash."""


class RamQueue:
    """Messages first <= seq < end are queued."""

    damaged = lost = 0

    def __init__(self, limit):
        self._limit = limit
        self._size = 0
        self._kept = []  # (first, second), oldest first
        self.first = 0
        self._seq = 0

    def __len__(self):
        return len(self._kept)

    @property
    def end(self):
        return self.first + len(self._kept)

    @staticmethod
    def cost(first, second):
        return 64 + len(first) + len(second)

    def room(self, size):
        return self._size + size <= self._limit

    def append(self, pairs):
        seq = self.end
        for pair in pairs:
            self._kept.append(pair)
            self._size += self.cost(*pair)
        return seq

    def acknowledge(self, seq):
        known = seq >= self.first
        while self.first <= seq and self._kept:
            self.drop_oldest()
        return known

    def drop_oldest(self):
        if not self._kept:
            return None
        self._size -= self.cost(*self._kept.pop(0))
        self.first += 1
        return 1

    def rewind(self, seq=0):
        self._seq = seq

    def next(self):
        seq = max(self._seq, self.first)
        if seq >= self.end:
            return None
        self._seq = seq + 1
        return (seq,) + self._kept[seq - self.first]

    def close(self):
        pass
