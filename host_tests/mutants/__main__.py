"""make mutants: see host_tests.mutants."""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from tools.files import ROOT

from .changes import changes

DEADLINE = 600  # seconds, of each set of tests that runs on a change
PER_TEST = 40  # seconds: a test that takes longer is found by time-out
COPIED = ("firmware", "host_tests", "tools", "docs", "boot.py", "main.py", "package.json",
          "pyproject.toml", "setup.py", "constraints.txt", "README.md", "CHANGELOG.md",
          "CONTRIBUTING.md", "Makefile", "LICENSE")  # fmt: skip
LINKED = (".venv", "build")
ON_MICROPYTHON = "host_tests/iothub/test_all_on_micropython.py"
CPYTHON = ("host_tests/iothub", "host_tests/back_to_back", "--ignore", ON_MICROPYTHON)


class Area(NamedTuple):
    """files: globs; without: modules of iothub that are left out. tests: sets that pytest runs,
    in turn, after the module's own tests; programs: a last set, which takes minutes.
    """

    files: tuple
    tests: tuple
    without: tuple = ()
    programs: tuple = ()


PROTOCOL = ("sas", "pending", "mqtt/packets", "mqtt/properties", "mqtt/topics", "mqtt/protocol")
PROTOCOL += ("amqp/codec", "amqp/composites", "amqp/convert", "amqp/frames", "amqp/links")
PROTOCOL += ("amqp/protocol", "amqp/sections", "amqp/times")
# What MicroPython alone has: CPython's tests do not reach it.
MICROPYTHON = ("future", "net/sockets", "net/stream", "net/context")
AREAS = {
    "protocol": Area(
        tuple(f"firmware/iothub/{name}.py" for name in PROTOCOL), (CPYTHON, (ON_MICROPYTHON,))
    ),
    "client": Area(
        ("firmware/iothub/**/*.py",),
        (CPYTHON, ("host_tests/model", ON_MICROPYTHON)),
        PROTOCOL + MICROPYTHON,
        ("host_tests/device", "host_tests/faults"),
    ),
    "hub": Area(
        ("tools/hub/**/*.py",),
        (("host_tests/hub", "host_tests/back_to_back"),),
        programs=("host_tests/sdk", "host_tests/tools", "host_tests/device"),
    ),
    "tools": Area(
        ("tools/deploy/*.py", "tools/board/*.py", "tools/doctor.py", "firmware/board/*.py"),
        (("host_tests/deploy",), ("host_tests/board",)),
    ),
    "service": Area(
        ("firmware/iothub_service/**/*.py", "tools/service/*.py"),
        (("host_tests/iothub_service", "host_tests/tools/test_service_client.py"),),
        programs=("host_tests/tools/test_service.py",),
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
    random.Random(seed).shuffle(all_of_it)
    return list(islice((pair for pair in all_of_it if pair[1].text), count))


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


def own_tests(root, path):
    """The test files of a module: those that are named after it, or else those of its folder."""
    name = path.parent.name if path.stem == "__init__" else path.stem
    place = path.relative_to(root).parent.parts[1:]  # ("iothub", "mqtt"), ("deploy",), () …
    folder = root / "host_tests"
    tests = sorted(folder.joinpath(*place[:1]).rglob(f"test_{name}*.py"))
    tests = tests or sorted(folder.joinpath(*place).glob("test_*.py"))
    return tuple(map(str, tests))


def outcome(root, area, path=None, programs=True):
    """ "found" by a test of the area, "found by time-out", or "lived". `path` is what was changed:
    its own tests run first.
    """
    sets = [own_tests(root, path)] if path else []
    sets += [*area.tests, area.programs if programs else ()]
    for tests in filter(None, sets):
        found = _run(root, tests)
        if found:
            return found
    return "lived"


def _run(root, tests):
    """ "found", "found by time-out", or "": no test has failed. Nothing goes on running."""
    command = ["nice", sys.executable, "-m", "pytest", "-q", "-x"]
    command += ["-p", "no:cacheprovider", "--timeout", str(PER_TEST), *tests]
    environment = {**os.environ, "PYTHONPATH": str(root / "firmware")}
    pytest = subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = pytest.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        return "found by time-out"
    finally:
        if pytest.poll() is None:
            os.killpg(pytest.pid, signal.SIGKILL)
            pytest.communicate()
    if pytest.returncode in (0, 5):  # 5: no test was collected
        return ""
    if pytest.returncode not in (1, 2):  # a test failed, or could not be imported
        raise RuntimeError(f"pytest ended with {pytest.returncode}:\n{output}")
    return "found by time-out" if "Failed: Timeout (>" in output else "found"


def measure(root, name, count, seed, programs):
    """{outcome: [(path, Change)]} of one area; progress goes to standard error."""
    area, found = AREAS[name], {"found": [], "found by time-out": [], "lived": []}
    for path, change in draw(root, area, count, seed):
        before = path.read_text()
        path.write_text(change.text)
        try:
            result = outcome(root, area, path, programs)
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
    parser.add_argument("--fast", action="store_true", help="without tests that take minutes")
    args = parser.parse_args()
    table = Table("area", "drawn", "found", "by time-out", "lived", "found, %")
    lived = []
    with tempfile.TemporaryDirectory(prefix="iothub-mutants-") as folder:
        root = copied(Path(folder))
        for name in args.area or AREAS:
            if outcome(root, AREAS[name], None, not args.fast) != "lived":
                print(f"mutants: the tests of {name} fail without a change", file=sys.stderr)
                return 2
            found = measure(root, name, args.count, args.seed, not args.fast)
            numbers = [len(found[kind]) for kind in ("found", "found by time-out", "lived")]
            share = round(100 * sum(numbers[:2]) / max(1, sum(numbers)))
            table.add_row(name, *map(str, (sum(numbers), *numbers, share)))
            lived += [(path.relative_to(root), change) for path, change in found["lived"]]
    Console().print(table)
    for path, change in lived:
        print(f"\n{path}:{change.line}\n- {change.before}\n+ {change.after}")
    return 1 if lived else 0


if __name__ == "__main__":
    sys.exit(main())
