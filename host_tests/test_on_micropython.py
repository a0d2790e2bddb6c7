"""The tests in pure/, the same files, run by the real MicroPython."""

import ast
import os
import subprocess
from pathlib import Path

import pytest

from tools.interpreter import ROOT, environment, interpreter

PURE = Path(__file__).parent / "pure"


@pytest.mark.parametrize("path", sorted(PURE.glob("test_*.py")), ids=lambda path: path.stem)
def test_module(path, tmp_path):
    tests = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    # A board's, which hostile bytes must not use up; AMQP's code takes some more.
    board = {"test_hostile": "128wK", "test_hostile_amqp": "160wK"}.get(path.stem)
    heap = ["-X", f"heapsize={board}"] if board else []
    done = subprocess.run(
        [interpreter(), *heap, str(PURE / "run.py"), path.stem],
        cwd=tmp_path,
        env=environment(PURE, ROOT / "firmware"),
        capture_output=True,
        text=True,
        timeout=300 if "HOSTILE_CASES" in os.environ else 60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"ran {len(tests)}"
    assert tests
