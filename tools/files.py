"""The paths of the files that a board gets, and of the folders that the tools write to."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "source"  # only the wheel has it: see setup.py
CHECKOUT = not _INSTALLED.is_dir()

ROOT = _PACKAGE.parent if CHECKOUT else _INSTALLED  # boot.py, main.py and the folder firmware
FIRMWARE = ROOT / "firmware"
STANDINS = _PACKAGE / "board" / "standins"  # modules of an ESP32 that the unix port lacks


def downloads():
    """The folder for files that are downloaded once. It need not exist."""
    return ROOT / "build" if CHECKOUT else _home("XDG_CACHE_HOME", ".cache")


def board():
    """The folder that is the virtual board's flash unless another one is named."""
    return ROOT / "build" / "board" if CHECKOUT else state() / "board"


def state():
    """The folder for state that must last: the local hub's, unless it is given another one."""
    return _home("XDG_DATA_HOME", ".local/share")


def _home(variable, usual):
    return Path(os.environ.get(variable) or Path.home() / usual) / "esp32-iothub"
