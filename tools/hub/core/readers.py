"""Readers of the event log: all of them, and the one with an epoch at each partition.

A reader has epoch, close(reason) and abort().
Source: docs/protocol/eventhubs.md, "Exclusive readers".
"""


class Readers:
    """The readers that are connected now."""

    def __init__(self):
        self._all = set()
        self._owners = {}  # (consumer group, partition): the reader with an epoch

    def add(self, reader):
        self._all.add(reader)

    def remove(self, reader):
        """Forget a reader, and its claim."""
        self._all.discard(reader)
        self._owners = {place: one for place, one in self._owners.items() if one is not reader}

    def claim(self, group, partition, reader):
        """Give a partition to a reader with an epoch; of two, the one with the higher epoch wins.

        The other reader is closed. False: that is `reader`.
        """
        other = self._owners.get((group, partition))
        if other is not None and other.epoch > reader.epoch:
            reader.close(f"a reader with the higher epoch {other.epoch} has the partition")
            return False
        self._owners[group, partition] = reader
        if other is not None:
            other.close(f"a reader with epoch {reader.epoch} has taken the partition")
        return True

    def abort(self):
        """Cut the connection of every reader."""
        for reader in list(self._all):
            reader.abort()
