"""The terminal that MicroPython has for standard input and output, and what it is doing there.

On a board Ctrl-C interrupts a program, and is a mere byte to the REPL. The unix port takes it for
a byte at both; here a signal is what interrupts, and whoever holds the other end must know which
of the two it is to be.
"""

import contextlib
import os
import pty
import signal
import sys
import termios
import tty

# Set from the start and cleared by the REPL while it reads: without echo it means nothing else.
_PROGRAM = termios.NOFLSH


class Terminal:
    """A raw pseudo-terminal. `inside` is MicroPython's file descriptor, `outside` ours."""

    def __init__(self):
        self.outside, self.inside = pty.openpty()
        tty.setraw(self.inside)
        attributes = termios.tcgetattr(self.inside)
        attributes[3] |= _PROGRAM
        termios.tcsetattr(self.inside, termios.TCSANOW, attributes)
        self._attributes = attributes
        os.set_blocking(self.outside, False)

    def renew(self, keep):
        """For the next process; keep: what is typed ahead."""
        if not keep:
            termios.tcflush(self.inside, termios.TCIFLUSH)
        termios.tcsetattr(self.inside, termios.TCSANOW, self._attributes)

    def read(self):
        """What was written; b"" for nothing yet."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self.outside, 65536)
        return b""

    def write(self, data):
        """Type `data`, as far as there is room; how many bytes that was."""
        with contextlib.suppress(BlockingIOError):
            return os.write(self.outside, data)
        return 0

    @property
    def at_prompt(self):
        """Whether the REPL reads."""
        return not termios.tcgetattr(self.inside)[3] & _PROGRAM

    def close(self):
        os.close(self.outside)
        os.close(self.inside)


def interruptible(pid, terminal):
    """Whether process `pid` runs a program that Ctrl-C is to interrupt."""
    if not sys.platform.startswith("linux"):
        return not terminal.at_prompt
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1)
    except OSError:
        pass  # it has just ended
    return False
