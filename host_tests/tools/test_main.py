"""tools/__main__.py: the commands, their help, and what the choice of one imports."""

import subprocess
import sys

import pytest

from tools import __main__

PATIENCE = 20
SHARED = {"device", "umqtt"}  # small modules that other commands use
# Prints the modules of the other commands that `--help` of one has imported.
PROGRAM = """
import contextlib, io, sys
from tools.__main__ import COMMANDS, main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main([sys.argv[1], "--help"])
modules = {name: "tools" + path for name, (path, _) in COMMANDS.items()}
print(*(name for name, module in modules.items() if module in sys.modules))
"""


@pytest.mark.parametrize("command", __main__.COMMANDS)
def test_help_of_a_command_imports_no_other_command(command):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, command],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert set(done.stdout.split()) - SHARED == {command} - SHARED


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        __main__.main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: python -m tools ")
    for name, (_, line) in __main__.COMMANDS.items():
        assert f"    {name} " in said or f"    {name}\n" in said
        assert line.split()[0] in said


def test_unknown_command_is_an_error_that_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as ended:
        __main__.main(["dance"])
    assert ended.value.code == 2
    assert "invalid choice: 'dance'" in capsys.readouterr().err
