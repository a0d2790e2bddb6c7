"""A virtual board as users have it: python -m tools board, mpremote, and a serial port."""

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time

import serial

PATIENCE = 20


class VirtualBoard:
    """A running `python -m tools board`. port, folder, and hands on it."""

    def __init__(self, process):
        self._process = process
        line = json.loads(process.stdout.readline())
        self.port = line["port"]
        self.folder = line["folder"]

    def hand(self, line):
        """Do something to the hardware: `reset`, `wifi down`."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def mpremote(self, *arguments, check=True):
        """What mpremote prints, of both streams."""
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
        """Return when it has started: what a test writes to its flash, that start did not see."""
        with self.opened() as typist:
            typist.type(b"\r\x03")
            typist.expect(b">>> ")

    @contextlib.contextmanager
    def opened(self):
        """The port, opened as a terminal program does: a Typist."""
        with serial.Serial(self.port, timeout=0.05, exclusive=True) as line:
            yield Typist(line)


class Typist:
    """Someone at the serial console."""

    def __init__(self, line):
        self._line = line
        self.said = b""  # since the last expect()

    def type(self, data):
        self._line.write(data)

    def expect(self, text):
        """Read on until `text` (bytes) was said; what was said before it."""
        give_up = time.monotonic() + PATIENCE
        while text not in self.said:
            assert time.monotonic() < give_up, f"no {text} in {self.said}"
            self.said += self._line.read(4096)
        before, _, self.said = self.said.partition(text)
        return before


class Keyboard:
    """The other side of a terminal that a program has, for a Typist."""

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
    """Run a board on `folder`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tools", "board", str(folder), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        board = VirtualBoard(process)
        watchdog.cancel()
        yield board
    finally:
        watchdog.cancel()
        process.terminate()
        process.communicate(timeout=PATIENCE)
