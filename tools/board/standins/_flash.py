"""The board's flash: a folder on the host, or a littlefs of a fixed size."""

import vfs

_BLOCK = 4096
_IMAGE = "/flash.img"


class Folder:
    """A folder as a file system: VfsPosix, with a rename() that works."""

    def __init__(self, root):
        self._rooted = vfs.VfsPosix(root)
        self._host = vfs.VfsPosix()
        self._root = root

    def __getattr__(self, name):
        return getattr(self._rooted, name)

    def rename(self, old, new):
        # VfsPosix builds both paths in one buffer, and so renames the new path to itself.
        paths = [self._root + path if path[0] == "/" else path for path in (old, new)]
        self._host.rename(*paths)


class _Image:
    """The image as a block device (MicroPython's extended interface)."""

    def __init__(self, folder, size):
        self._blocks = size // _BLOCK
        try:
            folder.stat(_IMAGE)
            self.blank = False
        except OSError:
            self.blank = True
            with folder.open(_IMAGE, "wb") as file:
                for _ in range(self._blocks):
                    file.write(b"\xff" * _BLOCK)
        self._file = folder.open(_IMAGE, "r+b")

    def readblocks(self, block, buffer, offset=0):
        self._file.seek(block * _BLOCK + offset)
        self._file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=0):
        self._file.seek(block * _BLOCK + offset)
        self._file.write(buffer)
        self._file.flush()

    def ioctl(self, op, arg):
        if op == 4:
            return self._blocks
        if op == 5:
            return _BLOCK
        return 0


def littlefs(folder, size):
    """The file system in flash.img of `folder`, which is made unless it is there."""
    image = _Image(folder, size)
    if image.blank:
        vfs.VfsLfs2.mkfs(image)
    return vfs.VfsLfs2(image)
