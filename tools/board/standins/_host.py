"""Between the stand-ins and tools/board/machine.py, which keeps what outlives a reset."""

import os

from vfs import VfsPosix

# A file system of its own: the board's programs see nothing of it.
_folder = os.getenv("STANDIN_STATE")
_state = VfsPosix(_folder)
_control = os.getenv("STANDIN_CONTROL")
if _control:
    _control = open(int(_control), "w")  # noqa: SIM115 (to the end of the process)


def load(name, default):
    """What was saved as `name` (bytes), else the default."""
    try:
        with _state.open("/" + name, "rb") as file:
            return file.read()
    except OSError:
        return default


def save(name, data):
    with _state.open("/new", "wb") as file:
        file.write(data)
    # With absolute names: see Folder in _flash. The process may be killed at any moment.
    VfsPosix().rename(_folder + "/new", _folder + "/" + name)


def tell(line):
    """Tell the machine that a program begins, or asks for: reset, deepsleep MS, watch MS."""
    if _control:
        _control.write(line + "\n")
