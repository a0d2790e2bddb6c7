"""From the files a board should have to a board that has them.

Only what differs goes over, to a folder of its own; when all of it is there, and its hashes are
right, deploy/finish.py is written, by one rename. Only from then on does the board change: it puts
the files in place and resets. Whatever interrupts it before leaves the old program, which starts
again: by the host's last word, or by the watchdog if the host can say no more.
"""

import base64
import hashlib
import json
import time

from ..remote import BoardFailure, RemoteError
from . import image, onboard

HEAP = 48 * 1024  # a 32-bit board's bytes that the program needs, at the least
_SPARE = 8 * 4096  # flash for a file system's own business
_CHUNK = 1024
_WATCHDOG = 30000  # ms
_BATCH = 24  # files whose hashes are asked for at a time


class DeployError(Exception):
    """Nothing was changed; one line that says what to do."""


def survey(remote, force=False):
    """What the board is, once it is good enough. DeployError."""
    found = remote.ask(onboard.SURVEY)
    try:
        image.check(found["version"], found["mpy"])
    except image.ImageError as error:
        raise DeployError(str(error)) from None
    heap = found["heap"] // 2
    if heap < HEAP and not force:
        raise DeployError(
            f"{heap // 1024} KB of heap are free and {HEAP // 1024} are needed: "
            "use a board with more memory (--force tries it all the same)"
        )
    return found


def set_clock(remote, found):
    """Give the board this machine's time if its own is not set; whether it was not."""
    if found["year"] >= time.gmtime().tm_year:
        return False
    year, month, day, hour, minute, second, weekday = time.gmtime()[:7]
    fields = (year, month, day, weekday, hour, minute, second, 0)
    remote.run(f"import machine\nmachine.RTC().datetime({fields})")
    return True


class Plan:
    """What has to happen: `changed` {path: bytes} to bring, `old` paths to remove, `size`."""

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


def bring(remote, plan, progress):
    """Stage the plan's files and let the board put them in place; progress(path, bytes) tells.

    The board resets at the end. RemoteError: it could not be done, and the old program is whole.
    """
    remote.run(f"TIMEOUT = {_WATCHDOG}\n{onboard.BEGIN}")
    try:
        staged = _stage(remote, plan.changed, progress)
        _write(remote, onboard.STAGE + "/part", onboard.finish(staged, plan.old).encode())
        remote.run(f"wdt.feed()\nos.rename({onboard.STAGE + '/part'!r}, {onboard.FINISH!r})")
        finish(remote)
    except BoardFailure as error:
        if "OSError: 28" in str(error) or "[Errno 28]" in str(error):  # ENOSPC
            raise DeployError("the board is full: remove files (mpremote fs rm), or erase it")
        raise


def is_pending(remote):
    """Whether a deployment is whole on the board, and not in place yet."""
    return remote.ask(onboard.PENDING)


def finish(remote):
    """Put in place what is whole; the board resets."""
    remote.leave(f"exec(open({onboard.FINISH!r}).read())", until="deployed")


def _stage(remote, changed, progress):
    """Write the files to the stage, as numbers; the pairs (stage, path)."""
    pairs = [(f"{onboard.STAGE}/{number}", path) for number, path in enumerate(changed)]
    # What an interrupted deployment left there need not go over again.
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
    # Secrets are among the files: a chunk that fails must not be shown, and is not.
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
