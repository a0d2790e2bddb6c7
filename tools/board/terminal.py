"""The terminal that MicroPython has for standard input and output, and what it is doing there.

On a board Ctrl-C interrupts a program, and is a mere byte to the REPL. The unix port takes it for
a byte at both; there a signal is what interrupts, and whoever holds the other end must know which
of the two it is to be. A board raises KeyboardInterrupt between two bytecodes, the unix port where
it happens to be, in the middle of an allocation if need be: the signal waits for a system call.
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


def interrupt_at_rest(pid):
    """Send SIGINT if process `pid` waits in a system call just now; whether it does."""
    if not sys.platform.startswith("linux"):
        os.kill(pid, signal.SIGINT)
        return True
    try:
        if _state(pid) != "S":
            return False
        os.kill(pid, signal.SIGSTOP)  # or it might go on between the look and the signal
        try:
            for _ in range(1000):
                if _state(pid) == "T":
                    break
            with open(f"/proc/{pid}/syscall") as file:
                rests = file.read().split()[0] not in ("-1", "running")
            if rests:
                os.kill(pid, signal.SIGINT)
        finally:
            os.kill(pid, signal.SIGCONT)
        return rests
    except OSError:  # it has just ended
        return True


def _state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


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
