"""A block device in RAM, in place of a board's flash."""

BLOCK = 4096


_EIO = -5


class Flash:
    """A block device in RAM that accepts `left` more writes; half of the last one is written.

    From then on it answers with an error. An exception would leave littlefs in the middle of what
    it does: an open file could not be closed, and the garbage collector would write to it later.
    """

    def __init__(self, blocks):
        self._blocks = blocks
        self._data = bytearray(b"\xff" * (BLOCK * blocks))
        self.left = 1 << 30
        self.writes = 0

    def readblocks(self, block, buffer, offset=0):
        at = block * BLOCK + offset
        buffer[:] = self._data[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        at = block * BLOCK + offset
        return self._spend(at, buffer)

    def _spend(self, at, buffer):
        if not self.left:
            return _EIO
        self.left -= 1
        self.writes += 1
        size = len(buffer) if self.left else len(buffer) // 2
        self._data[at : at + size] = memoryview(buffer)[:size]
        return 0 if self.left else _EIO

    def ioctl(self, op, arg):
        if op == 4:
            return self._blocks
        if op == 5:
            return BLOCK
        if op == 6:  # erase
            return self._spend(arg * BLOCK, b"\xff" * BLOCK)
        return 0
