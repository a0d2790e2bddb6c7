"""The MicroPython of this machine, for whatever runs it: the virtual board, tests, benchmarks."""

import os
import shutil
import sys
from pathlib import Path

from . import umqtt

ROOT = Path(__file__).parent.parent
STANDINS = Path(__file__).parent / "board" / "standins"


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
    paths = [*map(str, folders), str(umqtt.folder()), ".frozen"]
    return {**os.environ, "MICROPYPATH": ":".join(paths)}
