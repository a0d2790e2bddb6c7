"""Copies the files that differ to a board, and lets the board put them in place.

The files go to the folder deploy first. When all are there with the right hashes, one rename makes
deploy/finish.py. Only then does the board change: finish.py puts the files in place and resets the
board. After an interruption before that, the old program starts again: the host resets the board,
or the watchdog does if the host is gone.
"""

import base64
import hashlib
import json
import time

from ..remote import BoardFailure, RemoteError
from . import image, onboard

HEAP = {4: 48, 8: 96}  # KiB that the program needs at the least, by the bytes of a word
_SPARE = 8 * 4096  # bytes of flash that the file system itself may need
_CHUNK = 1024  # bytes of a file sent at a time
_WATCHDOG = 30000  # ms
_BATCH = 24  # files whose hashes are read at a time


class DeployError(Exception):
    """The board cannot be deployed to, and was not changed. The text says what to do."""


def survey(remote, force=False):
    """The board's properties, a dict; see onboard.SURVEY. DeployError: it is not good enough.

    force: accept a board with little heap.
    """
    found = remote.ask(onboard.SURVEY)
    try:
        image.check(found["version"], found["mpy"])
    except image.ImageError as error:
        raise DeployError(str(error)) from None
    heap, least = found["heap"] // 1024, HEAP[found["word"]]
    if heap < least and not force:
        raise DeployError(
            f"{heap} KiB of heap are free and {least} are needed: "
            "use a board with more memory (--force deploys nevertheless)"
        )
    return found


def set_clock(remote, found):
    """Give the board this machine's time if its clock is not set: whether it was not."""
    if found["year"] >= time.gmtime().tm_year:
        return False
    year, month, day, hour, minute, second, weekday = time.gmtime()[:7]
    fields = (year, month, day, weekday, hour, minute, second, 0)
    remote.run(f"import machine\nmachine.RTC().datetime({fields})")
    return True


class Plan:
    """What to do. changed: {path: bytes} to copy; size: their bytes; old: paths to delete."""

    def __init__(self, remote, files):
        digests = _hashes(remote, list(files))
        self.files = files
        self.changed = {p: data for p, data in files.items() if digests[p] != _digest(data)}
        present = remote.ask(f"FOLDERS = {image.OWNED!r}\n{onboard.LIST}")
        self.old = [p for p in present if p not in files and p not in image.KEPT]
        self.size = sum(map(len, self.changed.values()))

    def __bool__(self):
        return bool(self.changed or self.old)

    def check_room(self, found):
        """DeployError unless the changed files fit beside the old ones."""
        block = found["block"]
        need = sum(-(-len(data) // block) * block for data in self.changed.values()) + _SPARE
        if need > found["flash"]:
            raise DeployError(
                f"the board is full: {need // 1024} KB of flash are needed and "
                f"{found['flash'] // 1024} KB are free: remove files (mpremote fs rm), or erase it"
            )


def copy(remote, plan, progress):
    """Copy the plan's files and let the board put them in place; it resets at the end.

    progress(path, bytes) is called for each part. RemoteError, DeployError: it failed, and the old
    program is complete.
    """
    try:
        remote.run(f"TIMEOUT = {_WATCHDOG}\n{onboard.BEGIN}")
        staged = _stage(remote, plan.changed, progress)
        _write(remote, onboard.STAGE + "/part", onboard.finish(staged, plan.old).encode())
        remote.run(f"wdt.feed()\nos.rename({onboard.STAGE + '/part'!r}, {onboard.FINISH!r})")
        finish(remote)
    except BoardFailure as error:
        if "OSError: 28" in str(error) or "[Errno 28]" in str(error):  # ENOSPC
            raise DeployError("the board is full: remove files (mpremote fs rm), or erase it")
        raise


def is_pending(remote):
    """Whether the board has all files of an earlier deployment, but not in place yet."""
    return remote.ask(onboard.PENDING)


def finish(remote):
    """Let the board put the files in place; it resets."""
    remote.leave(f"exec(open({onboard.FINISH!r}).read())", until="deployed")


def _stage(remote, changed, progress):
    """Write the files to the stage folder, with numbers as names: pairs (staged path, path)."""
    pairs = [(f"{onboard.STAGE}/{number}", path) for number, path in enumerate(changed)]
    # Files that an interrupted deployment left there are not sent again.
    there = _hashes(remote, [stage for stage, _ in pairs])
    for stage, path in pairs:
        data = changed[path]
        if there[stage] != _digest(data):
            _write(remote, stage, data, lambda size, path=path: progress(path, size))
        else:
            progress(path, len(data))
    arrived = _hashes(remote, [stage for stage, _ in pairs])
    for stage, path in pairs:
        if arrived[stage] != _digest(changed[path]):
            raise RemoteError(f"{path} arrived damaged: try again, with another cable")
    return pairs


def _write(remote, path, data, progress=lambda size: None):
    # Some files hold secrets: the text of an error does not have the code that failed.
    remote.run(f"f = open({path!r}, 'wb')\nwdt.feed()")
    for start in range(0, len(data), _CHUNK):
        chunk = data[start : start + _CHUNK]
        text = base64.b64encode(chunk).decode()
        remote.run(f"n = f.write(binascii.a2b_base64('{text}'))\nwdt.feed()")
        progress(len(chunk))
    remote.run("f.close()")


def _digest(data):
    return hashlib.sha256(data).hexdigest()


def _hashes(remote, paths):
    """{path: hexadecimal SHA-256, or None where there is no such file}."""
    found = {}
    for start in range(0, len(paths), _BATCH):
        batch = paths[start : start + _BATCH]
        code = f"PATHS = {json.dumps(batch)}\n{onboard.HASHES}"
        found.update(zip(batch, remote.ask(code, timeout=60), strict=True))
    return found
