"""A board at the other end of a serial line: its raw REPL, by mpremote's own transport.

mpremote is pinned, for its library promises nothing. What it leaves open is closed here: every
wait has a deadline, and every failure is one line that says what to do.
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
_GONE = "{}: the board has gone: is it plugged in?"
_PROMPT = b"raw REPL; CTRL-B to exit\r\n"


class RemoteError(Exception):
    """The board cannot be used; one line that says why and what to do."""


class BoardFailure(RemoteError):
    """What ran on the board raised; the text is its last line. `traceback` is all of it."""

    def __init__(self, traceback):
        lines = traceback.strip().splitlines()
        super().__init__("on the board: " + (lines[-1].strip() if lines else "no reason given"))
        self.traceback = traceback


class Remote:
    """A board whose program was interrupted and whose memory is fresh, in its raw REPL.

    A context manager: at its end the port is free again. RemoteError.
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
        """What `code` prints, as text. BoardFailure: what it raises."""
        out, error = self._asking(lambda: self._transport.exec_raw(code, timeout=timeout))
        if error:
            raise BoardFailure(error.decode(errors="replace"))
        return out.decode(errors="replace").replace("\r\n", "\n")

    def ask(self, code, timeout=PATIENCE):
        """What `code`, which prints JSON as its last line, says."""
        return json.loads(self.run(code, timeout).splitlines()[-1])

    def stream(self, code, show, timeout):
        """Run `code`, and show(line) each line as it comes, `timeout` seconds apart at most."""
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
        """Run `code`, which resets the board; before, it prints `until`. BoardFailure."""
        self._asking(lambda: self._transport.exec_raw_no_follow(code))
        said, give_up = b"", time.monotonic() + 3 * PATIENCE
        while until.encode() not in said:
            said += self._asking(lambda: self._transport.serial.read(1))
            if said.endswith(b"\x04") and said.count(b"\x04") > 1:
                raise BoardFailure(said.strip(b"\x04").decode(errors="replace"))
            if time.monotonic() > give_up:
                raise RemoteError(f"{self.port}: the board stopped answering: reset it")

    def restart(self):
        """Whatever it is doing: let the board's own program begin again."""
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
            raise RemoteError(f"{self.port}: the board answers no more ({error}): reset it")

    def _interrupt(self):
        """Ctrl-C, raw REPL, soft reset; Ctrl-C again, or boot.py would wait for its Wi-Fi."""
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

    def _until(self, text, push, every):
        """Read until `text` has come; push() now and every so many seconds."""
        line, said = self._transport.serial, b""
        give_up = time.monotonic() + PATIENCE
        pushed = 0
        while text not in said:
            now = time.monotonic()
            if now > give_up:
                raise RemoteError(
                    f"{self.port}: no MicroPython answers there: press the board's reset button; "
                    "if it was never flashed, see README"
                )
            if now - pushed > every:
                push()
                pushed = now
            said = said[-len(text) :] + line.read(1)  # no more: what follows is mpremote's


def _open(port, baud):
    """A SerialTransport whose reads and writes end after PATIENCE. RemoteError."""
    try:
        transport = SerialTransport(port, baud, timeout=PATIENCE)
    except (TransportError, OSError, ValueError):
        raise RemoteError(_why_not(port)) from None
    transport.serial.write_timeout = PATIENCE
    return transport


def _why_not(port):
    """Why `port` cannot be opened."""
    if not os.path.exists(port) and not port.upper().startswith("COM"):
        found = sorted(p.device for p in list_ports.comports() if p.vid is not None)
        there = "the ports with something on USB are " + ", ".join(found)
        return f"no port {port}: " + (there if found else "is the board plugged in?")
    if os.path.exists(port) and not os.access(port, os.R_OK | os.W_OK):
        return f"{port}: no permission: join the group that owns it (often dialout), log in again"
    try:
        serial.Serial(port, exclusive=False).close()
    except (OSError, ValueError):
        return f"{port} is no serial port"
    return f"{port} is busy: close the program that has it (mpremote, a terminal, an editor)"
