"""tools/interpreter.py: which MicroPython runs, and the errors where there is none."""

import pytest

from tools import interpreter

NAME = "micropython"


def test_variable_comes_first(monkeypatch):
    monkeypatch.setenv("MICROPYTHON", "/bin/sh")
    assert interpreter.interpreter() == "/bin/sh"


def test_variable_that_is_not_a_program_is_named(monkeypatch):
    monkeypatch.setenv("MICROPYTHON", "/nowhere/micropython")
    with pytest.raises(FileNotFoundError, match="^MICROPYTHON=/nowhere/micropython: that is not"):
        interpreter.interpreter()


def test_without_the_package_the_search_path_is_asked(monkeypatch, tmp_path):
    program = tmp_path / NAME
    program.touch(mode=0o755)
    monkeypatch.delenv("MICROPYTHON", raising=False)
    monkeypatch.setattr(interpreter, "_packaged", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert interpreter.interpreter() == str(program)
    program.unlink()
    with pytest.raises(FileNotFoundError, match="name it with MICROPYTHON=path$"):
        interpreter.interpreter()
