"""The terminal of MicroPython's standard input and output, and Ctrl-C on it.

On a board, Ctrl-C interrupts a program and is a byte for the REPL. The unix port of MicroPython
always takes it for a byte and is interrupted by SIGINT, so the virtual board must know whether a
program runs. A board raises KeyboardInterrupt between two bytecodes, but the unix port raises it
anywhere, even in an allocation: so SIGINT is sent while the process waits in a system call.
"""

import contextlib
import ctypes
import os
import pty
import signal
import sys
import termios
import tty

# A flag that is set at the start, and cleared by the REPL while it reads. It has no other effect
# on a terminal without echo.
_PROGRAM = termios.NOFLSH


class Terminal:
    """A raw pseudo-terminal. File descriptors: `inside` is MicroPython's, `outside` is ours."""

    def __init__(self):
        self.outside, self.inside = pty.openpty()
        tty.setraw(self.inside)
        attributes = termios.tcgetattr(self.inside)
        attributes[3] |= _PROGRAM
        termios.tcsetattr(self.inside, termios.TCSANOW, attributes)
        self._attributes = attributes
        os.set_blocking(self.outside, False)

    def renew(self, keep):
        """Prepare for the next process. keep: whether input that was not read yet stays."""
        if not keep:
            termios.tcflush(self.inside, termios.TCIFLUSH)
        termios.tcsetattr(self.inside, termios.TCSANOW, self._attributes)

    def read(self):
        """The bytes that MicroPython wrote since the last call."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self.outside, 65536)
        return b""

    def write(self, data):
        """Write as much of `data` as there is room for: the number of bytes."""
        with contextlib.suppress(BlockingIOError):
            return os.write(self.outside, data)
        return 0

    @property
    def at_prompt(self):
        """Whether the REPL waits for input."""
        return not termios.tcgetattr(self.inside)[3] & _PROGRAM

    def close(self):
        os.close(self.outside)
        os.close(self.inside)


def interrupt_at_rest(pid):
    """Send SIGINT if process `pid` waits in a system call: whether it was sent."""
    if not sys.platform.startswith("linux"):
        os.kill(pid, signal.SIGINT)
        return True
    try:
        if _state(pid) != "S":
            return False
        os.kill(pid, signal.SIGSTOP)  # else it could go on between the check and the signal
        try:
            for _ in range(1000):
                if _state(pid) == "T":
                    break
            with open(f"/proc/{pid}/syscall") as file:
                is_waiting = file.read().split()[0] not in ("-1", "running")
            if is_waiting:
                _interrupt_main_thread(pid)
        finally:
            os.kill(pid, signal.SIGCONT)
        return is_waiting
    except OSError:  # the process has ended
        return True


def _interrupt_main_thread(pid):
    """Send SIGINT to a process that is stopped. Any of its threads would take one for the process,
    that of a machine.Timer too.
    """
    try:
        ctypes.CDLL(None).tgkill(pid, pid, int(signal.SIGINT))
    except AttributeError:  # a C library without it
        os.kill(pid, signal.SIGINT)


def _state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def interruptible(pid, terminal):
    """Whether process `pid` runs a program, which Ctrl-C interrupts, and not the REPL."""
    if not sys.platform.startswith("linux"):
        return not terminal.at_prompt
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1)
    except OSError:
        pass  # the process has ended
    return False
