"""The commands of docs/first-board.md run on the virtual board."""

import os
import signal
import sys
from pathlib import Path

from host_tests.support.virtual_board import PATIENCE, at_terminal
from tools.files import ROOT

SECTION = "## From a box to a running board"
PREPARED = ". .venv/bin/activate"


def blocks():
    """The lines of the section's two blocks: for a real board, and for the virtual one."""
    page = (ROOT / "docs" / "first-board.md").read_text()
    return blocks_of(page.partition(SECTION)[2].partition("\n## ")[0])


def blocks_of(text):
    """The lines of each block of shell commands."""
    return [block.partition("```")[0].split("\n")[1:-1] for block in text.split("```sh")[1:]]


def test_readme_has_the_same_lines():
    assert blocks_of((ROOT / "README.md").read_text()) == blocks()[:1]


def test_real_and_virtual_board_have_the_same_commands():
    real, virtual = blocks()
    assert len(real) <= 10
    assert [line for line in real if line.startswith(("iothub ", "mpremote "))] == [
        line.replace(" --root build/hub/ca.pem", "")
        for line in virtual
        if "$PORT" in line and "iothub board" not in line and "until" not in line
    ]


def test_commands_for_the_virtual_board_run(tmp_path):
    _, lines = blocks()
    assert lines[0] == PREPARED
    script = "\n".join(["set -e", *lines[1:]]).replace("build/", f"{tmp_path}/")
    bin_folder = str(Path(sys.executable).parent)
    with at_terminal(
        ["bash", "-c", script],
        cwd=ROOT,
        env={**os.environ, "PATH": bin_folder + ":" + os.environ["PATH"]},
        start_new_session=True,
    ) as (process, person):
        try:
            person.expect(b"deployed: ")
            person.expect(b"ok    message: ")
            person.expect(b" iothub/")
            person.expect(b"to exit this shell")
            person.expect(b"sent: ")
            person.type(b"\x03")
            person.expect(b"KeyboardInterrupt")
            person.expect(b">>> ")
            person.type(b"client\r")
            person.expect(b"<IoTHubDeviceClient my-board")
            person.type(b"\x1d")
            assert process.wait(PATIENCE) == 0
        finally:
            os.killpg(process.pid, signal.SIGTERM)
