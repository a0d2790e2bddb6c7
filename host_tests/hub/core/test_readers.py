"""Readers with an epoch: of two, the one with the higher epoch has the partition."""

from tools.hub.core.readers import Readers


class Reader:
    def __init__(self, readers, epoch):
        self.epoch = epoch
        self.closed = None
        self._readers = readers

    def close(self, reason):
        self.closed = reason
        self._readers.remove(self)

    def abort(self):
        self.close("cut")


def test_the_higher_epoch_wins():
    readers = Readers()
    first, second, late = (Reader(readers, epoch) for epoch in (1, 2, 1))
    assert readers.claim("group", 0, first)
    assert readers.claim("group", 0, second)
    assert "epoch 2" in first.closed
    assert not readers.claim("group", 0, late)
    assert "higher epoch 2" in late.closed
    assert second.closed is None


def test_an_equal_epoch_takes_the_partition_over():
    readers = Readers()
    first, second = Reader(readers, 1), Reader(readers, 1)
    assert readers.claim("group", 0, first)
    assert readers.claim("group", 0, second)
    assert first.closed
    assert second.closed is None


def test_groups_partitions_and_readers_that_have_left_do_not_compete():
    readers = Readers()
    first, second, third, fourth = (Reader(readers, epoch) for epoch in (9, 1, 1, 1))
    assert readers.claim("group", 0, first)
    assert readers.claim("group", 1, second)
    assert readers.claim("other", 0, third)
    readers.remove(first)
    assert readers.claim("group", 0, fourth)


def test_abort_cuts_every_reader():
    readers = Readers()
    both = Reader(readers, None), Reader(readers, None)
    for reader in both:
        readers.add(reader)
    readers.abort()
    assert [reader.closed for reader in both] == ["cut", "cut"]
