"""A board on a serial port: its raw REPL, through the transport of mpremote.

mpremote is pinned, because its library is no stable interface. Here every wait has a deadline, and
every error is one line that says what to do.
"""

import contextlib
import json
import os
import time

import serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport
from serial.tools import list_ports

PATIENCE = 10  # seconds in which a board must answer
_CTRL_C, _CTRL_D, _RAW = b"\r\x03", b"\x04", b"\r\x01"
_GONE = "{}: the board is gone: is it plugged in?"
# A soft reset stops no watchdog, but the timer that feeds it after Ctrl-C.
_HOLD = """
try:
    from board import repl
    repl.hold()
except Exception: # it has another program
    pass
"""
_PROMPT = b"raw REPL; CTRL-B to exit\r\n"


class RemoteError(Exception):
    """The board cannot be used. The text, one line, says why and what to do."""


class BoardFailure(RemoteError):
    """The code on the board raised. The text has the last line of `traceback`."""

    def __init__(self, traceback):
        lines = traceback.strip().splitlines()
        super().__init__("on the board: " + (lines[-1].strip() if lines else "no reason given"))
        self.traceback = traceback


class Remote:
    """A board in its raw REPL: its program was interrupted, and its memory is empty.

    A context manager, which closes the port at the end. RemoteError.
    """

    def __init__(self, port, baud=115200):
        self.port = port
        self._transport = _open(port, baud)

    def __enter__(self):
        try:
            self._interrupt()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self._transport.close()

    def run(self, code, timeout=PATIENCE):
        """Run `code`: its output, as text. BoardFailure: it raised."""
        out, error = self._asking(lambda: self._transport.exec_raw(code, timeout=timeout))
        if error:
            raise BoardFailure(error.decode(errors="replace"))
        return out.decode(errors="replace").replace("\r\n", "\n")

    def ask(self, code, timeout=PATIENCE):
        """Run `code`, whose last line of output is JSON: its value."""
        return json.loads(self.run(code, timeout).splitlines()[-1])

    def stream(self, code, show, timeout):
        """Run `code` and call show(line) for each line, which may take `timeout` seconds."""
        rest = b""

        def take(data):
            nonlocal rest
            *lines, rest = (rest + data.replace(b"\x04", b"")).split(b"\n")
            for line in lines:
                show(line.decode(errors="replace").rstrip("\r"))

        _, error = self._asking(lambda: self._transport.exec_raw(code, timeout, take))
        if rest:
            show(rest.decode(errors="replace"))
        if error:
            raise BoardFailure(error.decode(errors="replace"))

    def leave(self, code, until=""):
        """Run `code`, which prints `until` and then resets the board. BoardFailure."""
        self._asking(lambda: self._transport.exec_raw_no_follow(code))
        said, deadline = b"", time.monotonic() + 3 * PATIENCE
        while until.encode() not in said:
            said += self._asking(lambda: self._transport.serial.read(1))
            if said.endswith(b"\x04") and said.count(b"\x04") > 1:
                raise BoardFailure(said.strip(b"\x04").decode(errors="replace"))
            if time.monotonic() > deadline:
                raise RemoteError(f"{self.port}: the board stopped answering: reset it")

    def restart(self):
        """Reset the board, whatever it is doing, so that its own program starts."""
        line = self._transport.serial
        with contextlib.suppress(OSError, RemoteError):
            line.timeout = 0.05
            self._until(_PROMPT, lambda: line.write(_CTRL_C + _RAW), 0.5)
            line.timeout = PATIENCE
            self.leave("import machine\nmachine.reset()")

    def _asking(self, ask):
        try:
            return ask()
        except TransportExecError as error:
            raise BoardFailure(error.error_output) from None
        except (TransportError, OSError, IndexError, ValueError) as error:
            if isinstance(error, OSError):
                raise RemoteError(_GONE.format(self.port)) from None
            # mpremote quotes what the board sent, which may be an echo of the settings' secrets.
            reason = str(error).partition(" (")[0].partition(":")[0]
            text = f"{self.port}: the board stopped answering ({reason}): reset it"
            raise RemoteError(text) from None

    def _interrupt(self):
        """Send Ctrl-C, enter the raw REPL, soft reset; Ctrl-C again, while boot.py waits."""
        line = self._transport.serial
        try:
            line.timeout = 0.05
            line.reset_input_buffer()
            self._until(_PROMPT, lambda: line.write(_CTRL_C + _RAW), 2)
            line.write(_CTRL_D)
            self._until(b"soft reboot\r\n", lambda: None, PATIENCE)
            self._until(_PROMPT, lambda: line.write(b"\x03"), 0.3)
            line.timeout = PATIENCE
        except OSError:
            raise RemoteError(_GONE.format(self.port)) from None
        self._transport.in_raw_repl = True
        self.run(_HOLD)

    def _until(self, text, push, every):
        """Read until `text` has arrived; call push() now and `every` so many seconds."""
        line, said = self._transport.serial, b""
        deadline = time.monotonic() + PATIENCE
        pushed = 0
        while text not in said:
            now = time.monotonic()
            if now > deadline:
                raise RemoteError(
                    f"{self.port}: no MicroPython answers: press the board's reset button, or "
                    "flash MicroPython if the board never had it"
                )
            if now - pushed > every:
                push()
                pushed = now
            said = said[-len(text) :] + line.read(1)  # no more: mpremote reads what follows


def _open(port, baud):
    """A SerialTransport whose reads and writes end after PATIENCE seconds. RemoteError."""
    try:
        transport = SerialTransport(port, baud, timeout=PATIENCE)
    except (TransportError, OSError, ValueError):
        raise RemoteError(_why_not(port)) from None
    transport.serial.write_timeout = PATIENCE
    return transport


def _why_not(port):
    """The reason why `port` cannot be opened, and what to do."""
    if not os.path.exists(port) and not port.upper().startswith("COM"):
        found = sorted(p.device for p in list_ports.comports() if p.vid is not None)
        there = "the USB serial ports are " + ", ".join(found)
        return f"no port {port}: " + (there if found else "is the board plugged in?")
    if os.path.exists(port) and not os.access(port, os.R_OK | os.W_OK):
        return (
            f"{port}: no permission: join the group that owns it (often dialout), and log in again"
        )
    try:
        serial.Serial(port, exclusive=False).close()
    except (OSError, ValueError):
        return f"{port} is not a serial port"
    return f"{port} is busy: close the program that uses it (mpremote, a terminal, an editor)"
