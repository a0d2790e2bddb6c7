"""Runs the test files of this folder in MicroPython; those named *_hypothesis.py need CPython."""

import ast
import os
import subprocess
from pathlib import Path

import pytest

from host_tests.support.heaps import heap_option
from tools.files import ROOT
from tools.interpreter import environment, interpreter, word_size

FOLDER = Path(__file__).parent
RUNNER = ROOT / "host_tests" / "support" / "run_on_micropython.py"
# The heap of a small board, which hostile bytes must not use up; AMQP's code takes some more.
HEAPS = {
    "mqtt/test_hostile_bytes": "128wK",
    "amqp/test_hostile_bytes": "160wK",
    "test_client": "4wM",  # its hub keeps messages of 256 KB, several times over
}
ROOMY = "2wM"
# asyncio's queue compares small integers; the fake clock's do not wrap, so they need 64 bits.
WIDE = {"test_long_runs": "the fake clock counts months in integers of 64 bits"}
NAMES = sorted(
    path.relative_to(FOLDER).with_suffix("").as_posix()
    for path in FOLDER.rglob("test_*.py")
    if path != Path(__file__) and not path.stem.endswith("_hypothesis")
)


@pytest.mark.parametrize("name", NAMES)
def test_module(name, tmp_path):
    path = FOLDER / f"{name}.py"
    tests = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    if name in WIDE and word_size() == 4:
        pytest.skip(WIDE[name])
    heap = heap_option(HEAPS.get(name, ROOMY))
    done = subprocess.run(
        [interpreter(), *heap, str(RUNNER), f"host_tests.iothub.{name.replace('/', '.')}"],
        cwd=tmp_path,
        env=environment(ROOT / "firmware", ROOT),
        capture_output=True,
        text=True,
        timeout=300 if "HOSTILE_CASES" in os.environ else 60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"ran {len(tests)}"
    assert tests
