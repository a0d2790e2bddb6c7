"""The virtual ESP32: power, resets, deep sleep, the watchdog, and the serial console.

    off ──start()──> boot.py ──> main.py ──> REPL            (stop(): off)
                       ^            │          │
                       └── "MPY: soft reboot": Ctrl-D in the REPL, SystemExit, machine.soft_reset()
                       └── reset: machine.reset(), the watchdog, the end of a deep sleep, a crash

Each start is a new MicroPython process. After a soft reset in the raw REPL, main.py is left out
and the raw REPL comes back, as on a board. A temporary folder holds what a board keeps through a
reset (the clock, RTC memory) and the state of the Wi-Fi; the stand-ins read and write it.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from .. import umqtt
from ..files import STANDINS
from ..interpreter import interpreter
from .console import Console
from .heap import heap_size
from .newlines import Newlines
from .port import Port
from .terminal import Terminal, interrupt_at_rest, interruptible

WIFI = ("up", "down", "wrong-password")
# machine.reset_cause()'s numbers
PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = range(1, 6)

# The line that a chip's ROM prints, in short
_ROM_LINES = {
    PWRON_RESET: b"\r\nrst:0x1 (POWERON_RESET)\r\n",
    HARD_RESET: b"\r\nrst:0xc (SW_CPU_RESET)\r\n",
    WDT_RESET: b"\r\nrst:0x8 (TG1WDT_SYS_RESET)\r\n",
    DEEPSLEEP_RESET: b"\r\nrst:0x5 (DEEPSLEEP_RESET)\r\n",
}

_CTRL_C = b"\x03"
_TYPED_AHEAD = 4096  # bytes of input that the board keeps until its program reads them
_BUSY = 0.3  # seconds in which to look for a moment when the program waits and can be interrupted
_START_TIMEOUT = 20  # seconds
_RESET_TIME = 0.05  # seconds that a reset takes, so that a loop of resets does not load the host


class BoardError(Exception):
    """The board cannot run. The text says why."""


class Board:
    """A board whose flash is `folder`, or with `flash` (bytes) a littlefs of that size in it.

    heap: the program's memory, in the form of MicroPython's -X heapsize: `128wK` is 128 KiB on a
    32-bit board (`w`: as many words). The memory of the stand-ins is added, because a real board
    has them in its flash. frozen_umqtt: whether the image has umqtt.simple, as the official ones
    have. resets: the number of resets so far, without soft ones.
    """

    def __init__(self, folder, heap="128wK", flash=None, wifi="up", frozen_umqtt=True):
        self.folder = Path(folder).resolve()
        self._heap = heap_size(heap)
        self.resets = 0
        self._flash = flash
        self._frozen_umqtt = frozen_umqtt
        self._state = tempfile.TemporaryDirectory(prefix="iothub-board-")
        self.wifi = wifi
        self._terminal = Terminal()
        self._port = Port(lambda: _TYPED_AHEAD - len(self._typed), self._received)
        self._newlines = Newlines()
        self._typed = bytearray()
        self._process = None
        self._running = False  # boot.py, main.py or the REPL of this process has begun
        self._interrupting = False
        self._ending = None  # a Future of this process: (reason to end, detail)
        self._watchdog = None
        self._pressed = asyncio.Event()  # the button EN
        self._tasks = []
        self._console = Console()

    @property
    def port(self):
        """The path of the pseudo-terminal, for mpremote and other programs."""
        return self._port.name

    @property
    def wifi(self):
        return (Path(self._state.name) / "wifi").read_text()

    @wifi.setter
    def wifi(self, state):
        if state not in WIFI:
            raise ValueError(f"wifi: {state} is not one of {', '.join(WIFI)}")
        (Path(self._state.name) / "wifi").write_text(state)

    async def start(self):
        """Power on. BoardError: MicroPython does not start."""
        started = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._terminal.outside, self._read_terminal)
        self._tasks = [
            loop.create_task(self._port.run()),
            loop.create_task(self._run(started)),
        ]
        waiting = loop.create_task(started.wait())
        await asyncio.wait({waiting, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for task in self._tasks:
            if task.done():
                await self.stop()
                task.result()

    async def stop(self):
        """Power off, for good."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
            self._tasks = []
            asyncio.get_running_loop().remove_reader(self._terminal.outside)
            self._terminal.close()
            self._port.close()
            self._state.cleanup()

    async def wait(self):
        """Wait until the board fails. BoardError: the reason."""
        await asyncio.gather(*self._tasks)

    def lines(self):
        """Yield the console's lines that were not yielded yet, without end; `>>> ` is one, too."""
        return self._console.lines()

    def reset(self):
        """Press the button EN."""
        self._pressed.set()
        self._end("power", "")

    # -- one process after the other ----------------------------------------------------------

    async def _run(self, started):
        cause, raw = PWRON_RESET, False
        while True:
            reason, detail = await self._run_process(cause, raw, started)
            raw = False
            if reason == "exit":
                raw = self._console.in_raw_repl
                cause = SOFT_RESET
            elif reason == "soft_reset":
                cause = SOFT_RESET
            elif reason == "deepsleep" and await self._sleep(int(detail) / 1000):
                cause = DEEPSLEEP_RESET
            else:
                cause = {"reset": HARD_RESET, "watchdog": WDT_RESET}.get(reason, PWRON_RESET)
            if cause == SOFT_RESET:
                self._print(b"MPY: soft reboot\r\n")
            else:
                self.resets += 1
                self._print(_ROM_LINES[cause])
                if cause == PWRON_RESET:
                    (Path(self._state.name) / "rtc").unlink(missing_ok=True)
                    (Path(self._state.name) / "clock").unlink(missing_ok=True)
            await asyncio.sleep(_RESET_TIME)

    async def _sleep(self, seconds):
        """Sleep until the time is over (0: never) or the button is pressed; False: the button."""
        self._pressed.clear()
        pressing = asyncio.ensure_future(self._pressed.wait())
        done, _ = await asyncio.wait({pressing}, timeout=seconds or None)
        pressing.cancel()
        return not done

    async def _run_process(self, cause, raw, started):
        """Run MicroPython from one reset to the next: (reason to end, detail)."""
        loop = asyncio.get_running_loop()
        self._terminal.renew(keep=cause == SOFT_RESET)
        ending = self._ending = loop.create_future()
        control, notes = os.pipe()
        process = self._process = await self._launch(cause, raw, notes)
        os.close(notes)
        loop.add_reader(control, self._read_notes, control)
        waiting = loop.create_task(process.wait())
        # Of this process only: `ending` is done when the next one runs.
        waiting.add_done_callback(lambda _: ending.done() or self._end("exit", ""))
        try:
            if raw:
                self._terminal.write(b"\x01")
            await self._wait_for_start()
            started.set()
            reason, detail = await ending
            if reason == "exit" and _is_crash(process.returncode):
                self._print(b"\r\nMicroPython has crashed\r\n")
                reason = "crash"
            return reason, detail
        finally:
            self._set_watchdog(None)
            loop.remove_reader(control)
            os.close(control)
            if process.returncode is None:
                process.kill()
            await process.wait()
            self._read_terminal()

    async def _launch(self, cause, raw, notes):
        self.folder.mkdir(parents=True, exist_ok=True)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("MICROPY")}
        library = umqtt.folder() if self._frozen_umqtt else ""
        return await asyncio.create_subprocess_exec(
            interpreter(),
            *("-X", f"heapsize={self._heap}", "-i", str(STANDINS / "start.py")),
            env={
                **inherited,
                "HOME": self._state.name,  # for the REPL's history
                "STANDIN_STATE": self._state.name,
                "STANDIN_CONTROL": str(notes),
                "STANDIN_CAUSE": str(cause),
                "STANDIN_RAW": "1" if raw else "",
                "STANDIN_FLASH": str(self._flash or ""),
                "STANDIN_ROOT": str(self.folder),
                "STANDIN_UMQTT": str(library),
            },
            cwd=self._state.name,
            pass_fds=(notes,),
            start_new_session=True,  # Ctrl-C on the host does not interrupt the board
            stdin=self._terminal.inside,
            stdout=self._terminal.inside,
            stderr=subprocess.STDOUT,
        )

    async def _wait_for_start(self):
        """Wait until boot.py begins. BoardError: MicroPython did not come so far."""
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._running:
            if self._ending.done():
                reason, detail = self._ending.result()
                if reason == "exit":
                    status = self._process.returncode
                    detail = f"MicroPython ended at once, with status {status}"
                if reason in ("exit", "broken"):
                    raise BoardError(detail)
                return
            if time.monotonic() > deadline:
                raise BoardError(f"MicroPython was not running after {_START_TIMEOUT} s")
            await asyncio.sleep(0.002)

    def _end(self, reason, detail):
        """Let the process end for `reason`, unless it ends already."""
        if self._ending is not None and not self._ending.done():
            self._running = False
            self._ending.set_result((reason, detail))

    def _read_notes(self, control):
        """Act on what the stand-ins tell, one note a line."""
        for line in os.read(control, 4096).decode().splitlines():
            note, _, detail = line.partition(" ")
            if note == "begun":
                self._running = True
                self._forward_typed()
            elif note == "watch":
                self._set_watchdog(int(detail) / 1000)
            else:
                self._end(note, detail)

    def _set_watchdog(self, seconds):
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._watchdog = loop.call_later(seconds, self._end, "watchdog", "")

    # -- the console ---------------------------------------------------------------------------

    def _read_terminal(self):
        while data := self._terminal.read():
            self._print(self._newlines.to_host(data))

    def _print(self, data):
        self._port.write(data)
        self._console.feed(data)

    def _received(self, data):
        self._newlines.from_host(data)
        self._typed += data
        self._forward_typed()

    def _forward_typed(self):
        """Give MicroPython what was typed; Ctrl-C becomes a signal while a program runs."""
        if not self._running or self._interrupting:
            return
        if _CTRL_C in self._typed and interruptible(self._process.pid, self._terminal):
            self._typed = self._typed.replace(_CTRL_C, b"")
            self._interrupting = True
            self._interrupt(self._process, time.monotonic() + _BUSY)
            return
        if self._typed:
            del self._typed[: self._terminal.write(bytes(self._typed))]
        if self._typed:  # the terminal is full, because the program does not read
            asyncio.get_running_loop().call_later(0.01, self._forward_typed)

    def _interrupt(self, process, deadline):
        """Raise KeyboardInterrupt in the program: while it waits, or at the deadline anywhere."""
        if process.returncode is None and interruptible(process.pid, self._terminal):
            early = time.monotonic() < deadline
            if early and not interrupt_at_rest(process.pid):
                again = asyncio.get_running_loop().call_later
                again(0.002, self._interrupt, process, deadline)
                return
            if not early:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)
        self._interrupting = False
        self._forward_typed()


def _is_crash(status):
    """Whether a signal ended the process; SIGINT is the program's own Ctrl-C."""
    return status < 0 and status != -signal.SIGINT
