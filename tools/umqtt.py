"""Download umqtt.simple, the MQTT client that every ESP32 image has built in, for this machine.

The other commands do this when they first need it. UMQTT=FOLDER names another copy (the folder
holds umqtt/simple.py, as mip installs it); then nothing is downloaded.

A Python program that uses iothub over MQTT needs this command once: the package registry has
umqtt.simple only as an archive that pip cannot install.
"""

import hashlib
import importlib
import io
import os
import sys
import tarfile
import tempfile
from pathlib import Path

from . import PROG, files

PROJECT = "micropython-umqtt.simple"
VERSION = "1.3.4"
ARCHIVE = f"micropython-umqtt.simple-{VERSION}.tar.gz"
SHA256 = "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f"
MEMBER = f"micropython-umqtt.simple-{VERSION}/umqtt/simple.py"


def folder():
    """The folder that holds umqtt/simple.py; it is downloaded unless it is there.

    FileNotFoundError, in one line: $UMQTT is another folder, or the download failed.
    """
    found = _chosen() or _downloaded()
    if not _is_complete(found):
        _download(found)
    return found


def load():
    """The module umqtt.simple on CPython. ImportError: it has not been downloaded."""
    found = _chosen() or _downloaded()
    if not _is_complete(found):
        raise ImportError(
            f"umqtt.simple is not on this machine: download it with `{PROG} umqtt`, or name the "
            "folder that holds umqtt/simple.py with UMQTT="
        )
    # umqtt.simple 1.3.4 imports these by their old MicroPython names.
    for name in ("socket", "struct", "binascii"):
        sys.modules.setdefault(f"u{name}", importlib.import_module(name))
    if str(found) not in sys.path:
        sys.path.append(str(found))
    return importlib.import_module("umqtt.simple")


def unpack(archive):
    """The text of umqtt/simple.py in `archive` (bytes). ValueError: it is not the pinned one."""
    digest = hashlib.sha256(archive).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{ARCHIVE} has sha256 {digest}, not the pinned {SHA256}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.extractfile(MEMBER).read()


def _chosen():
    """The folder that $UMQTT names, or None. FileNotFoundError: it has no umqtt.simple."""
    named = os.environ.get("UMQTT")
    if not named:
        return None
    chosen = Path(named).resolve()
    if not _is_complete(chosen):
        raise FileNotFoundError(f"UMQTT={named}: that folder has no umqtt/simple.py")
    return chosen


def _downloaded():
    return files.downloads() / f"umqtt-{VERSION}"


def _is_complete(place):
    return (place / "umqtt" / "simple.py").is_file()


def _download(place):
    """Download, check and unpack into the folder `place`. FileNotFoundError."""
    try:
        source = unpack(_archive())
        target = place / "umqtt" / "simple.py"
        target.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when it is complete: another process may look, or download, at the same time.
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as scratch:
            scratch.write(source)
        Path(scratch.name).replace(target)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"umqtt.simple could not be downloaded: {error}. "
            "Name a folder that holds umqtt/simple.py with UMQTT="
        ) from None


def _archive():
    """The archive's bytes, from the package registry. OSError or ValueError."""
    from pypi_simple import NoSuchProjectError, PyPISimple

    with PyPISimple() as registry, tempfile.TemporaryDirectory() as scratch:
        try:
            page = registry.get_project_page(PROJECT, timeout=60)
        except NoSuchProjectError as error:
            raise ValueError(error)
        for package in page.packages:
            if package.filename == ARCHIVE:
                path = Path(scratch) / ARCHIVE
                registry.download_package(package, path, timeout=60)
                return path.read_bytes()
    raise ValueError(f"the package registry no longer has {ARCHIVE}")


def arguments(parser):
    """This command has no arguments."""


def run(args):
    try:
        print(folder())
    except FileNotFoundError as error:
        print(f"umqtt: {error}", file=sys.stderr)
        return 1
    return 0
