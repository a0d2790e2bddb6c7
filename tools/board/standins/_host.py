"""Notes from the stand-ins to tools/board/machine.py, and files that outlive a reset."""

import os

from vfs import VfsPosix

# A file system of its own, which the board's programs cannot see.
_folder = os.getenv("STANDIN_STATE")
_state = VfsPosix(_folder)
_control = os.getenv("STANDIN_CONTROL")
if _control:
    _control = open(int(_control), "w")  # noqa: SIM115 (to the end of the process)


def load(name, default):
    """The bytes that were saved as `name`, or the default."""
    try:
        with _state.open("/" + name, "rb") as file:
            return file.read()
    except OSError:
        return default


def save(name, data):
    with _state.open("/new", "wb") as file:
        file.write(data)
    # Renamed, as the process may be killed at any moment; by absolute paths, see _flash.Folder.
    VfsPosix().rename(_folder + "/new", _folder + "/" + name)


def tell(line):
    """Send a note: begun, reset, soft_reset, deepsleep MS, watch MS, broken REASON."""
    if _control:
        _control.write(line + "\n")
