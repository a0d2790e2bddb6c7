"""A virtual board as users have it: python -m tools board, mpremote, its serial port."""

import contextlib
import json
import os
import pty
import select
import subprocess
import sys
import time

import serial

from host_tests.support.processes import blocking
from tools.processes import running

PATIENCE = 20


class VirtualBoard:
    """A running `python -m tools board`: its port, and its flash as a folder.

    command(line): change the hardware, as the program's standard input does: `reset`, `wifi down`.
    """

    def __init__(self, line, command):
        found = json.loads(line)
        self.port = found["port"]
        self.folder = found["folder"]
        self.command = command

    def mpremote(self, *arguments, check=True):
        """Run mpremote on the board: its output, of both streams."""
        done = subprocess.run(
            [sys.executable, "-m", "mpremote", "connect", self.port, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            check=False,
        )
        said = done.stdout.decode()
        assert not check or done.returncode == 0, said
        return said

    def settle(self):
        """Wait until it has started, so that the test can write to its flash."""
        with self.opened() as typist:
            typist.type(b"\r\x03")
            typist.expect(b">>> ")

    @contextlib.contextmanager
    def opened(self):
        """Open the port, as a terminal program does: a Typist."""
        with serial.Serial(self.port, timeout=0.05, exclusive=True) as line:
            yield Typist(line)


class Typist:
    """Types on a serial console and reads it."""

    def __init__(self, line):
        self._line = line
        self.said = b""  # since the last expect()

    def type(self, data):
        self._line.write(data)

    def expect(self, text):
        """Read until `text` (bytes): what came before it."""
        give_up = time.monotonic() + PATIENCE
        while text not in self.said:
            assert time.monotonic() < give_up, f"no {text} in {self.said}"
            self.said += self._line.read(4096)
        before, _, self.said = self.said.partition(text)
        return before


class Keyboard:
    """The near side of a pseudo-terminal, for a Typist."""

    def __init__(self, terminal):
        self._terminal = terminal

    def write(self, data):
        os.write(self._terminal, data)

    def read(self, size):
        if select.select([self._terminal], [], [], 0.05)[0]:
            return os.read(self._terminal, size)
        return b""


@contextlib.contextmanager
def virtual_board(folder, *arguments):
    """Run a board on `folder`: a VirtualBoard."""
    command = [sys.executable, "-m", "tools", "board", str(folder), *map(str, arguments)]
    with blocking(running(command, patience=PATIENCE, terminate=True)) as (process, call):
        yield VirtualBoard(call(process.line()), lambda line: call(process.write(line)))


@contextlib.contextmanager
def at_terminal(command, **options):
    """Run a command at a terminal of its own: (process, Typist)."""
    terminal, theirs = pty.openpty()
    os.set_blocking(terminal, False)
    try:
        with subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, **options
        ) as process:
            yield process, Typist(Keyboard(terminal))
    finally:
        os.close(terminal)
        os.close(theirs)
