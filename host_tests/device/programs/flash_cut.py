"""A flash queue on littlefs whose power fails at each write in turn.

Said at the end: how many cuts there were, how many messages were accepted before them in all, and
how many writes of the flash the whole of it takes without a cut.
"""

import vfs
from harness import say
from ram_flash import Flash

from iothub.outbox.flash_queue import FlashQueue

BLOCKS = 32
MESSAGES = 24


def mounted(flash):
    vfs.mount(vfs.VfsLfs2(flash), "/flash")


def play(queue, accepted, done):
    """Store messages and acknowledge some of them; both lists grow with each completed call."""
    for number in range(0, MESSAGES, 2):
        seq = queue.append([message(number), message(number + 1)])
        assert seq == number
        accepted += [number, number + 1]
        if number % 6 == 4:
            done.append(number - 3)
            queue.acknowledge(number - 3)


def message(number):
    return b"bag", b"%d:" % number + b"x" * 200


def numbers(queue):
    found = []
    while True:
        record = queue.next()
        if record is None:
            return found
        assert record[1:] == message(record[0])
        found.append(record[0])


def main():
    cuts = promised = 0
    whole = None
    while whole is None:
        flash = Flash(BLOCKS)
        vfs.VfsLfs2.mkfs(flash)
        mounted(flash)
        start = flash.writes
        flash.left = cuts
        accepted, done, queue = [], [], None
        try:
            queue = FlashQueue("/flash/outbox", 16384)
            play(queue, accepted, done)
        except OSError:
            if flash.left:
                raise
        if flash.left:
            whole = flash.writes - start
        if queue is not None:
            queue.close()  # without power it writes nothing; later it would
        flash.left = 1 << 30
        vfs.umount("/flash")
        mounted(flash)  # what it has of it after the power is back
        queue = FlashQueue("/flash/outbox", 16384)
        found = numbers(queue)
        settled = done[-1] + 1 if done else 0
        assert found == list(range(found[0], found[-1] + 1)) if found else not accepted, found
        assert set(accepted) - set(range(settled)) <= set(found), (accepted, done, found)
        seq = queue.append([(b"bag", b"next")])
        assert seq >= len(accepted)
        assert queue.next() == (seq, b"bag", b"next")
        assert len(queue) == len(found) + 1
        queue.close()
        vfs.umount("/flash")
        promised += len(accepted)
        cuts += 1
    say("cuts", cuts - 1, promised, whole)


main()
