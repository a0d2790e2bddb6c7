"""Records in flash, in order, until they are done with: append-only files with checksums.

A record is 16 bytes and two byte strings:

    0xA5, kind (m: a message, d: all before seq are done with)   2 bytes
    seq, size of the first string, size of the second            4, 2, 4 bytes, big-endian
    CRC-32 of all the others                                     4 bytes

Power may go at any byte. What is torn is passed over when the journal is opened, and nothing is
written behind it: another file is begun. Files are removed whole, oldest first,
and a "d" is written only for every _DONE_EVERY messages: the flash is written once a message, or
once for all that come together, and after a power loss a few messages may be read once more.
"""

import os
import struct
from binascii import crc32

from ..compat import const

_HEAD = const(16)
_FORMAT = ">2sIHI"
_DONE_EVERY = const(32)
_MESSAGE, _DONE = b"\xa5m", b"\xa5d"
_ENOENT = const(2)
_ENOTDIR = const(20)
_PASSING = (12, 13, 23, 24)  # ENOMEM, EACCES, ENFILE, EMFILE: the file may be read later


def _record(kind, seq, first, second):
    head = struct.pack(_FORMAT, kind, seq, len(first), len(second))
    return head + struct.pack(">I", crc32(second, crc32(first, crc32(head))))


def _read(file, at, size):
    """(kind, seq, first, second, where it ends) of the record at `at`, or None: there is none."""
    file.seek(at)
    head = file.read(_HEAD)
    if len(head) < _HEAD or head[:2] not in (_MESSAGE, _DONE):
        return None
    kind, seq, first, second = struct.unpack(_FORMAT, head[:12])
    end = at + _HEAD + first + second
    if end > size:
        return None
    first, second = file.read(first), file.read(second)
    if _record(kind, seq, first, second) != head:
        return None
    return kind, seq, first, second, end


def _find(file, at, size):
    """The first whole record from `at` on, or None; what lies before it is damaged."""
    while at < size:
        record = _read(file, at, size)
        if record is not None:
            return record
        file.seek(at + 1)
        chunk = file.read(64)
        found = chunk.find(b"\xa5")
        at += 1 + (found if found >= 0 else len(chunk))
    return None


class _File:
    """last: the seq of its last message, or -1; size: up to where it has been written whole.

    count: its messages that wait. It is less than the seqs say where some are damaged.
    """

    torn = False  # behind `size` there is something else, or it is lost
    count = 0

    def __init__(self, path, size=0):
        self.path = path
        self.size = size
        self.last = -1


class FlashQueue:
    """The records in `folder`, which is made if need be; at most about `limit` bytes of flash.

    len() messages of first <= seq < end wait to be done with; next() reads them one by one.
    damaged: bytes that were passed over. lost: messages that waited, and whose file has been
    removed, or cannot be read any more. OSError: the flash is full, or fails.
    """

    def __init__(self, folder, limit):
        self._folder = folder
        self._limit = limit
        self._files = []  # oldest first
        self._number = 0  # of the newest
        self._out = None  # the newest, while it is written to
        self._not_noted = 0  # messages done with since the last "d"
        self._skipped = 0  # numbers given to what the flash did not take: it may be found later
        self.lost = 0
        self._recover()

    def _name(self, number):
        return "%s/%08x.log" % (self._folder, number)

    def __len__(self):
        self._check(self._files)
        return sum([file.count for file in self._files])

    def _recover(self):
        """Take in what an earlier run has left."""
        try:
            os.mkdir(self._folder)
        except OSError:  # it is there, or else listdir() says what is wrong
            pass
        self.first = self.end = self.damaged = 0
        done = 0
        for name in sorted(os.listdir(self._folder)):
            try:
                number = int(name[:-4], 16)
            except ValueError:
                continue
            path = self._name(number)
            if path != self._folder + "/" + name:  # it is not one of these
                continue
            self._number = number
            file = _File(path, os.stat(path)[6])
            self._files.append(file)
            done = max(done, self._take_in(file))
        self.first = max(done, self.first)
        self._file = self._at = 0
        self._clear()
        self.rewind()
        if done and self._files:  # of the first file some are done with
            count = 0
            while self.next() is not None and not self._file:
                count += 1
            self._files[0].count = count
            self.rewind()

    def _take_in(self, file):
        """Find the records of a file; what the last "d" says, or 0."""
        at = done = 0
        try:
            with open(file.path, "rb") as data:
                while True:
                    record = _find(data, at, file.size)
                    if record is None:
                        break
                    kind, seq, first, second, end = record
                    self.damaged += end - at - self.cost(first, second)
                    at = end
                    if kind == _DONE:
                        done = seq
                        self.end = max(self.end, seq)
                    else:
                        self.first = self.first if self.end else seq
                        self.end = seq + 1
                        file.last = seq
                        file.count += 1
        except OSError as error:
            if error.args[0] in _PASSING:
                raise
            # A part of the flash that cannot be read shall not stop the board.
        self.damaged += file.size - at
        file.torn = at < file.size
        return done

    # -- writing ----------------------------------------------------------------------------

    def room(self, size):
        """Whether messages of `size` bytes in all fit."""
        self._check(self._files)
        return sum([file.size for file in self._files]) + size <= self._limit

    @staticmethod
    def cost(first, second):
        """What a message takes, in bytes."""
        return _HEAD + len(first) + len(second)

    def append(self, pairs):
        """Keep messages, pairs of bytes, in one go; the seq of the first.

        OSError: they are not kept, though some may be found after a restart.
        """
        seq = self.end + self._skipped
        self._skipped += len(pairs)
        self._write(
            [(_MESSAGE, seq + at, first, second) for at, (first, second) in enumerate(pairs)]
        )
        self._skipped = 0
        self.end = seq + len(pairs)
        self._files[-1].last = self.end - 1
        self._files[-1].count += len(pairs)
        return seq

    def _write(self, records):
        self._check(self._files[-1:])  # what is written to a file that was removed would be lost
        if self._out is not None and self._files[-1].size > self._limit // 8:
            self.close()
        if self._out is None:
            self._open()
        size = self._files[-1].size
        try:
            for kind, seq, first, second in records:
                self._out.write(_record(kind, seq, first, second))
                self._out.write(first)
                self._out.write(second)
                size += self.cost(first, second)
            self._out.flush()
            if hasattr(os, "fsync"):
                os.fsync(self._out.fileno())  # elsewhere flush() has done it
        except Exception:
            self.close()
            self._files[-1].torn = True
            if not self._files[-1].size:
                self._remove(-1)
            raise
        self._files[-1].size = size

    def _open(self):
        file = self._files[-1] if self._files else None
        # A board that wakes for one message shall not take a block of flash for each.
        if file is None or file.torn or file.size > self._limit // 8:
            self._number += 1
            file = _File(self._name(self._number))
            try:
                self._out = open(file.path, "wb")  # noqa: SIM115
            except OSError as error:
                if error.args[0] != _ENOENT:
                    raise
                os.mkdir(self._folder)  # somebody has removed it
                self._out = open(file.path, "wb")  # noqa: SIM115
            self._files.append(file)
        else:
            self._out = open(file.path, "ab")  # noqa: SIM115

    def close(self):
        """Nothing is written for now."""
        if self._out is not None:
            out, self._out = self._out, None
            try:
                out.close()
            except OSError:
                pass  # what was promised has been flushed

    # -- done with --------------------------------------------------------------------------

    def acknowledge(self, seq):
        """The hub has acknowledged the messages up to `seq`. False: it had been given up."""
        if seq < self.first:
            return False
        for file in self._files:
            if file.last >= seq:
                file.count = max(0, min(file.count - 1, file.last - seq))
                break
        self._not_noted += seq + 1 - self.first
        self.first = seq + 1
        self._clear()
        if self._not_noted >= _DONE_EVERY and self._files:
            self._not_noted = 0
            try:
                self._write([(_DONE, self.first, b"", b"")])
            except OSError:
                pass  # more of them will be read once more
        return True

    def drop_oldest(self):
        """Give up the oldest file: how many messages that were. None: there is no file."""
        if not self._files:
            return None
        file = self._files[0]
        self.first = max(self.first, file.last + 1)
        if len(self._files) == 1:
            self.close()
        self._remove()
        return file.count

    def _check(self, files):
        """Find out whether somebody else has removed one of these."""
        for file in files:
            try:
                os.stat(file.path)
            except OSError as error:
                if error.args[0] in (_ENOENT, _ENOTDIR):
                    file.size = 0
                    self._lose(file)
        self._clear()

    def _lose(self, file):
        """What has not been read of a file cannot be read any more. The rest may arrive yet."""
        if file is self._files[-1]:
            self.close()
        lost = max(0, min(file.count, file.last + 1 - self._seq))
        file.count -= lost
        self.lost += lost
        file.last = min(file.last, self._seq - 1)
        file.torn = True

    def _clear(self):
        """Remove the files that hold nothing that waits."""
        if self.first >= self.end:
            self.close()
        while self._files and self._files[0].last < self.first:
            if self._out is not None and len(self._files) == 1:
                break
            self._remove()

    def _remove(self, index=0):
        path = self._files.pop(index).path
        if not index and self._file:
            self._file -= 1
        elif not index:
            self._at = 0
        try:
            os.remove(path)
        except OSError:
            pass  # it will be found, and removed, after a restart

    # -- reading ----------------------------------------------------------------------------

    def rewind(self, seq=0):
        """next() goes on with `seq`, or with the oldest that waits."""
        self._seq = max(seq, self.first)
        self._file = self._at = 0

    def next(self):
        """(seq, first, second) of the next message, or None."""
        while self._file < len(self._files):
            file = self._files[self._file]
            try:
                record = self._next_of(file) if file.last >= self._seq else None
            except OSError as error:
                if error.args[0] in _PASSING:
                    raise
                record = None  # it cannot be read: the others shall not wait for it
                self.damaged += file.size - self._at
                file.size = self._at
                self._lose(file)
            if record is not None:
                return record
            if file is self._files[-1]:
                return None  # more may be written to it
            self._file += 1
            self._at = 0
        return None

    def _next_of(self, file):
        with open(file.path, "rb") as data:
            while True:
                record = _find(data, self._at, file.size)
                if record is None:
                    return None
                kind, seq, first, second, self._at = record
                if kind == _MESSAGE and seq >= max(self._seq, self.first):
                    self._seq = seq + 1
                    return seq, first, second
