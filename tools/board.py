"""A board on this machine: boot.py and main.py, unchanged, in the real MicroPython.

Its file system is a folder with what a deployed board has: boot.py, main.py, lib/ and
settings.json. The heap is a 32-bit board's, given as `128wK`: words, not bytes.
"""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

from tools import umqtt

ROOT = Path(__file__).parent.parent
STANDINS = Path(__file__).parent / "standins"
RESET_STATUS = 75  # what standins/machine.py leaves with


def interpreter():
    """The MicroPython to use: $MICROPYTHON, else the one beside this Python or on the path."""
    beside = Path(sys.executable).parent / "micropython"
    found = os.environ.get("MICROPYTHON") or (
        str(beside) if beside.exists() else shutil.which("micropython")
    )
    if not found or not shutil.which(found):
        raise FileNotFoundError(
            f"no MicroPython at {found or 'hand'}: run make, or name one with MICROPYTHON="
        )
    return found


def environment(*folders):
    """The environment in which MicroPython imports from `folders`, firmware's libraries last."""
    paths = [*map(str, folders), str(umqtt.folder()), str(STANDINS), ".frozen"]
    return {**os.environ, "MICROPYPATH": ":".join(paths)}


class Board:
    """A board in `folder`. Start it, read its console line by line, stop it."""

    def __init__(self, folder, settings, heap="128wK", root=ROOT):
        self.folder = Path(folder)
        self.heap = heap
        self.resets = 0
        self._process = None
        for name in ("boot.py", "main.py"):
            shutil.copy(root / name, self.folder / name)
        lib = self.folder / "lib"
        if not lib.exists():
            lib.symlink_to(root / "firmware")
        path = self.folder / "settings.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(settings))

    async def start(self):
        """Power on."""
        self._process = await asyncio.create_subprocess_exec(
            interpreter(),
            "-X",
            f"heapsize={self.heap}",
            str(STANDINS / "start.py"),
            cwd=self.folder,
            env=environment("lib"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def lines(self):
        """Yield the console's lines; ends when the program does. machine.reset() starts anew."""
        while True:
            async for line in self._process.stdout:
                yield line.decode(errors="replace").rstrip()
            if await self._process.wait() != RESET_STATUS:
                return
            self.resets += 1
            await self.start()

    @property
    def status(self):
        """The program's exit status; None while it runs."""
        return self._process.returncode

    async def stop(self):
        """Power off. Nobody may be reading lines() any more."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.communicate()
