"""iothub.outbox.flash_queue on a real file system: restarts, limits, torn and changed files."""

import os

from host_tests.support.folder import Folder
from host_tests.support.raises import raises
from iothub.outbox.flash_queue import FlashQueue

LIMIT = 4096


def message(number, size=20):
    return b"bag%d" % number, b"%d:" % number + b"x" * size


def rest(queue):
    """All that next() still gives."""
    found = []
    while True:
        record = queue.next()
        if record is None:
            return found
        found.append(record)


def numbers(queue):
    """As rest(), as the numbers that message() was given."""
    return [int(first[3:]) for _, first, _ in rest(queue)]


def test_messages_are_read_in_order_before_and_after_a_restart():
    with Folder() as folder:
        queue = FlashQueue(folder.path, LIMIT)
        assert queue.next() is None
        assert queue.append([message(0), message(1)]) == 0
        assert queue.append([message(2), (b"", b"")]) == 2
        expected = [(0,) + message(0), (1,) + message(1), (2,) + message(2), (3, b"", b"")]
        assert rest(queue) == expected
        assert queue.next() is None
        queue.append([message(4)])
        assert numbers(queue) == [4]
        queue.rewind(1)
        assert queue.next() == (1,) + message(1)
        again = FlashQueue(folder.path, LIMIT)  # the power went: nothing was closed
        assert (again.first, again.end, again.damaged) == (0, 5, 0)
        assert rest(again) == expected + [(4,) + message(4)]


def test_empty_queue_has_no_file():
    with Folder() as folder:
        queue = FlashQueue(folder.path, LIMIT)
        for number in range(40):
            queue.append([message(number, 100)])
        assert len(folder.names()) > 3
        for seq in range(39):
            queue.acknowledge(seq)
        assert 0 < len(folder.names()) <= 2
        queue.acknowledge(39)
        assert folder.names() == []
        assert queue.append([message(40)]) == 40
        assert numbers(FlashQueue(folder.path, LIMIT)) == [40]


def test_few_acknowledged_messages_are_repeated_after_a_restart():
    with Folder() as folder:
        queue = FlashQueue(folder.path, 65536)
        for number in range(100):
            queue.append([message(number)])
        for seq in range(90):
            queue.acknowledge(seq)
            again = FlashQueue(folder.path, 65536)
            assert seq + 1 - 32 <= again.first <= seq + 1
            assert again.end == 100
            assert numbers(again) == list(range(again.first, 100))


def test_file_cut_at_any_byte_loses_only_the_torn_message():
    with Folder() as folder:
        queue = FlashQueue(folder.path, LIMIT)
        queue.append([message(0), message(1)])
        for number in (2, 3, 4):
            queue.append([message(number)])
        content = folder.content("00000001.log")
        whole = queue.cost(*message(0))
        for cut in range(len(content) + 1):
            folder.put("00000001.log", content[:cut])
            again = FlashQueue(folder.path, LIMIT)
            count = cut // whole  # all are of one length
            assert numbers(again) == list(range(count)), cut
            assert again.damaged == cut - count * whole
            assert again.append([message(count)]) == count  # never behind what is torn
            assert numbers(FlashQueue(folder.path, LIMIT)) == list(range(count + 1)), cut
            for name in folder.names():
                os.remove(folder.path + "/" + name)


def test_changed_byte_loses_one_message_only():
    with Folder() as folder:
        queue = FlashQueue(folder.path, LIMIT)
        queue.append([message(number) for number in range(4)])
        content = folder.content("00000001.log")
        whole = queue.cost(*message(0))
        for at in range(len(content)):
            changed = bytearray(content)
            changed[at] ^= 0x41
            folder.put("00000001.log", bytes(changed))
            again = FlashQueue(folder.path, LIMIT)
            hit = at // whole
            assert numbers(again) == [number for number in range(4) if number != hit], at
            assert again.damaged == whole


def test_wrong_length_field_is_detected():
    with Folder() as folder:
        FlashQueue(folder.path, LIMIT).append([message(0)])
        content = folder.content("00000001.log")
        huge = content[:6] + b"\xff\xff\xff\xff\xff\xff" + content[12:]
        folder.put("00000001.log", huge + content)
        again = FlashQueue(folder.path, LIMIT)
        assert numbers(again) == [0]
        assert again.damaged == len(content)


def test_marker_bytes_within_a_message_are_no_record():
    with Folder() as folder:
        inner = FlashQueue(folder.path, LIMIT)
        inner.append([(b"", b"inner")])
        payload = folder.content("00000001.log")
        os.remove(folder.path + "/00000001.log")
        queue = FlashQueue(folder.path, LIMIT)
        queue.append([(b"outer", payload + b"\xa5m\xa5d")])
        assert rest(FlashQueue(folder.path, LIMIT)) == [(0, b"outer", payload + b"\xa5m\xa5d")]


def test_other_files_are_left_alone():
    with Folder() as folder:
        FlashQueue(folder.path, LIMIT)
        folder.put("notes.txt", b"mine")
        folder.put("zzzzzzzz.log", b"mine")
        queue = FlashQueue(folder.path, LIMIT)
        queue.append([message(0)])
        queue.acknowledge(0)
        assert folder.names() == ["notes.txt", "zzzzzzzz.log"]


def test_full_queue_drops_the_oldest():
    with Folder() as folder:
        queue = FlashQueue(folder.path, LIMIT)
        number = dropped = 0
        while number < 200:
            size = queue.cost(*message(number, 100))
            while not queue.room(size):
                dropped += queue.drop_oldest()
            queue.append([message(number, 100)])
            number += 1
            assert sum([len(folder.content(name)) for name in folder.names()]) <= LIMIT
        assert dropped == queue.first > 0
        assert queue.end - queue.first > LIMIT // 2 // 130
        assert numbers(queue) == list(range(dropped, 200))
        assert numbers(FlashQueue(folder.path, LIMIT)) == list(range(dropped, 200))


def test_message_that_is_being_read_can_be_dropped():
    with Folder() as folder:
        queue = FlashQueue(folder.path, LIMIT)
        for number in range(24):
            queue.append([message(number, 100)])
        assert queue.next()[0] == 0
        dropped = queue.drop_oldest()
        assert 0 < dropped < 24
        assert numbers(queue) == list(range(dropped, 24))
        queue.acknowledge(3)  # arrived, though it had been given up
        assert queue.first == dropped


def test_message_larger_than_a_file():
    with Folder() as folder:
        queue = FlashQueue(folder.path, LIMIT)
        queue.append([message(0, 3000)])
        queue.append([message(1)])
        assert len(folder.names()) == 2
        queue.acknowledge(0)
        assert len(folder.names()) == 1
        assert numbers(FlashQueue(folder.path, LIMIT)) == [1]


def test_full_flash_raises_at_once():
    with Folder() as folder:
        queue = FlashQueue(folder.path, LIMIT)
        for number in (1, 2):
            folder.full(f"0000000{number}.log")
            raises(OSError, queue.append, [message(0)])
            assert queue.first == queue.end
            assert folder.names() == []
        seq = queue.append([message(1)])
        assert rest(queue) == [(seq,) + message(1)]
        queue.acknowledge(seq)
        assert queue.first == queue.end


def test_full_flash_while_other_messages_wait():
    with Folder() as folder:
        queue = FlashQueue(folder.path, LIMIT)
        queue.append([message(0, 600)])  # the next one begins a file
        folder.full("00000002.log")
        raises(OSError, queue.append, [message(1)])
        queue.append([message(2)])
        assert numbers(queue) == [0, 2]
        assert numbers(FlashQueue(folder.path, LIMIT)) == [0, 2]
        queue.acknowledge(queue.end - 1)
        assert folder.names() == []


def test_failed_progress_note_is_no_error():
    with Folder() as folder:
        queue = FlashQueue(folder.path, LIMIT)
        for number in range(40):
            queue.append([message(number, 600)])
        folder.full("00000029.log")
        for seq in range(39):
            queue.acknowledge(seq)
        assert numbers(queue) == [39]


def test_starts_with_one_message_each_share_a_file():
    with Folder() as folder:
        for number in range(6):
            queue = FlashQueue(folder.path, LIMIT)
            queue.append([message(number)])
        assert len(folder.names()) == 1
        assert numbers(FlashQueue(folder.path, LIMIT)) == list(range(6))
        queue.close()
        assert numbers(queue) == list(range(6))
        queue.append([message(6)])
        assert numbers(queue) == [6]
        assert numbers(FlashQueue(folder.path, LIMIT)) == list(range(7))


def test_unreadable_file_loses_its_own_messages_only():
    with Folder() as folder:
        queue = FlashQueue(folder.path, LIMIT)
        for number in range(3):
            queue.append([message(number, 600)])
        size = len(folder.content("00000002.log"))
        os.system("ln -sf /proc/self/mem " + folder.path + "/00000002.log")  # EIO
        assert numbers(queue) == [0, 2]
        assert queue.damaged == size
        assert numbers(FlashQueue(folder.path, LIMIT)) == [0, 2]
