"""make mutants: see host_tests.mutants."""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from tools.files import ROOT

from .changes import changes

DEADLINE = 300  # seconds, of the tests of one change
COPIED = ("firmware", "host_tests", "tools", "docs", "boot.py", "main.py", "package.json",
          "pyproject.toml", "setup.py", "constraints.txt", "README.md", "CHANGELOG.md",
          "CONTRIBUTING.md", "Makefile", "LICENSE")  # fmt: skip
LINKED = (".venv", "build")
UNIT = ("host_tests/iothub", "host_tests/back_to_back")


class Area(NamedTuple):
    """files: globs; without: modules of iothub that are left out. tests: what pytest runs, in
    turn.
    """

    files: tuple
    tests: tuple
    without: tuple = ()


PROTOCOL = ("sas", "pending", "mqtt/packets", "mqtt/properties", "mqtt/topics", "mqtt/protocol")
PROTOCOL += ("amqp/codec", "amqp/composites", "amqp/convert", "amqp/frames", "amqp/links")
PROTOCOL += ("amqp/protocol", "amqp/sections", "amqp/times")
# What MicroPython alone has: CPython's tests do not reach it.
MICROPYTHON = ("future", "net/sockets", "net/stream", "net/context")
AREAS = {
    "protocol": Area(tuple(f"firmware/iothub/{name}.py" for name in PROTOCOL), (UNIT,)),
    "client": Area(
        ("firmware/iothub/**/*.py",),
        (UNIT, ("host_tests/model", "host_tests/device", "host_tests/faults")),
        PROTOCOL + MICROPYTHON,
    ),
    "hub": Area(
        ("tools/hub/**/*.py",),
        (("host_tests/hub", "host_tests/back_to_back"), ("host_tests/sdk", "host_tests/device")),
    ),
    "tools": Area(
        ("tools/deploy/*.py", "tools/board/*.py", "firmware/board/*.py"),
        (("host_tests/board", "host_tests/deploy"),),
    ),
}


def candidates(root, area):
    """[(path, its changes)] of an area, in a fixed order."""
    paths = sorted({path for pattern in area.files for path in root.glob(pattern)})
    left_out = {root / "firmware" / "iothub" / f"{name}.py" for name in area.without}
    paths = [path for path in paths if path not in left_out]
    return [(path, found) for path in paths if (found := changes(path.read_text()))]


def draw(root, area, count, seed):
    """`count` pairs (path, Change) of an area; each change of the code is as likely."""
    all_of_it = [(path, one) for path, found in candidates(root, area) for one in found]
    return random.Random(seed).sample(all_of_it, min(count, len(all_of_it)))


def copied(folder):
    """A copy of the checkout in `folder`, on which tests can run."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
            shutil.copytree(source, folder / name, ignore=ignored)
        elif source.exists():
            shutil.copy(source, folder / name)
    for name in LINKED:
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return folder


def outcome(root, area, deadline=DEADLINE):
    """ "found" by a test of the area, "found by time-out", or "lived"."""
    environment = {**os.environ, "PYTHONPATH": str(root / "firmware")}
    end = time.monotonic() + deadline
    for tests in area.tests:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "2", "--dist", "loadfile"]
        command += ["-p", "no:cacheprovider", *tests]
        try:
            done = subprocess.run(
                command,
                cwd=root,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=max(1, end - time.monotonic()),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "found by time-out"
        if done.returncode:
            return "found"
    return "lived"


def measure(root, name, count, seed):
    """{outcome: [(path, Change)]} of one area; progress goes to standard error."""
    area, found = AREAS[name], {"found": [], "found by time-out": [], "lived": []}
    for path, change in draw(root, area, count, seed):
        before = path.read_text()
        path.write_text(change.text)
        try:
            result = outcome(root, area)
        finally:
            path.write_text(before)
        found[result].append((path, change))
        where = f"{path.relative_to(root)}:{change.line}"
        print(f"{name}: {result}: {where}: {change}", file=sys.stderr, flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(prog="make mutants", description=__package__)
    parser.add_argument("--area", choices=AREAS, action="append", help="one area (default: all)")
    parser.add_argument("--count", type=int, default=5, help="of each area (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="draws others (%(default)s)")
    args = parser.parse_args()
    table = Table("area", "drawn", "found", "by time-out", "lived", "found, %")
    lived = 0
    with tempfile.TemporaryDirectory(prefix="iothub-mutants-") as folder:
        root = copied(Path(folder))
        for name in args.area or AREAS:
            if outcome(root, AREAS[name], 4 * DEADLINE) != "lived":
                print(f"mutants: the tests of {name} fail without a change", file=sys.stderr)
                return 2
            found = measure(root, name, args.count, args.seed)
            numbers = [len(found[kind]) for kind in ("found", "found by time-out", "lived")]
            share = round(100 * sum(numbers[:2]) / max(1, sum(numbers)))
            table.add_row(name, *map(str, (sum(numbers), *numbers, share)))
            lived += numbers[2]
    Console().print(table)
    return 1 if lived else 0


if __name__ == "__main__":
    sys.exit(main())
