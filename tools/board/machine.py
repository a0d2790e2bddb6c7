"""The virtual ESP32 itself: power, resets, the watchdog, and a file system in a folder.

    off ──start()──> boot.py ──> main.py ──> REPL            (stop(): off)
                       ^            │          │
                       └── "MPY: soft reboot": Ctrl-D in the REPL, SystemExit, machine.soft_reset()
                       └── reset: machine.reset(), the watchdog, the end of a deep sleep, a crash

Each start is a new process. A soft reset that was asked for in the raw REPL leads back there, and
main.py is left out, as on a board. What a board keeps through a reset (the clock, RTC memory) is
in a folder of the machine's own, with the state of its Wi-Fi; the stand-ins read and write there.
"""

import asyncio
import collections
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
from .newlines import Newlines
from .port import Port
from .terminal import Terminal, interrupt_at_rest, interruptible

WIFI = ("up", "down", "wrong-password")
# machine.reset_cause()'s numbers
PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = range(1, 6)

# What a chip's ROM says, in short
_TOLD = {
    PWRON_RESET: b"\r\nrst:0x1 (POWERON_RESET)\r\n",
    HARD_RESET: b"\r\nrst:0xc (SW_CPU_RESET)\r\n",
    WDT_RESET: b"\r\nrst:0x8 (TG1WDT_SYS_RESET)\r\n",
    DEEPSLEEP_RESET: b"\r\nrst:0x5 (DEEPSLEEP_RESET)\r\n",
}

_CTRL_C = b"\x03"
_PROMPT = b">>> "
_ROOM = 4096  # bytes typed ahead
_BUSY = 0.3  # seconds within which a program mostly waits for something, and can be interrupted
_START = 20  # seconds within which MicroPython must be running
_RESTART = 0.05  # seconds that a reset takes, so that a loop of them leaves the host some time
_LINES = 10000  # of the console, kept for lines()
_LEAST = 4096
_STANDINS = 8704  # a board's bytes: theirs and umqtt's, less the 900 of umqtt in a real image


class BoardError(Exception):
    """The board cannot run; the text says why."""


class Board:
    """A board whose flash is `folder`, or with `flash` (bytes) a littlefs of that size in it.

    heap: what a program has, as MicroPython's -X heapsize: `128wK` is a 32-bit board's 128 KiB
    (`w`: in its words). What the stand-ins take, which a board has in its flash, comes on top.
    frozen_umqtt: whether its image has umqtt.simple, as all official ones have.
    """

    def __init__(self, folder, heap="128wK", flash=None, wifi="up", frozen_umqtt=True):
        self.folder = Path(folder).resolve()
        self._heap = _with_standins(heap)
        self.resets = 0  # other than soft ones
        self._flash = flash
        self._frozen_umqtt = frozen_umqtt
        self._state = tempfile.TemporaryDirectory(prefix="iothub-board-")
        self.wifi = wifi
        self._terminal = Terminal()
        self._port = Port(lambda: _ROOM - len(self._typed), self._received)
        self._newlines = Newlines()
        self._typed = bytearray()
        self._process = None
        self._running = False  # whether this process's program, or REPL, has begun
        self._interrupting = False
        self._verdict = None  # a Future: why this process is to end
        self._watchdog = None
        self._pressed = asyncio.Event()  # the button
        self._tasks = []
        self._said = _Lines()

    @property
    def port(self):
        """What to give mpremote: the path of a pseudo-terminal."""
        return self._port.name

    @property
    def wifi(self):
        return (Path(self._state.name) / "wifi").read_text()

    @wifi.setter
    def wifi(self, state):
        if state not in WIFI:
            raise ValueError(f"wifi: {state} is none of {', '.join(WIFI)}")
        (Path(self._state.name) / "wifi").write_text(state)

    async def start(self):
        """Power on. BoardError if MicroPython does not start."""
        started = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._terminal.outside, self._hear)
        self._tasks = [
            loop.create_task(self._port.run()),
            loop.create_task(self._live(started)),
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
        """Until the board breaks: BoardError says how."""
        await asyncio.gather(*self._tasks)

    def lines(self):
        """Yield the console's lines that were not asked for yet, the prompt `>>> ` too."""
        return self._said.lines()

    def reset(self):
        """Press the button EN."""
        self._pressed.set()
        self._end("power", "")

    # -- one life after the other -------------------------------------------------------------

    async def _live(self, started):
        cause, raw = PWRON_RESET, False
        while True:
            verdict, detail = await self._once(cause, raw, started)
            raw = False
            if verdict == "exit":
                raw = self._said.raw
                cause = SOFT_RESET
            elif verdict == "soft_reset":
                cause = SOFT_RESET
            elif verdict == "deepsleep" and await self._sleep(int(detail) / 1000):
                cause = DEEPSLEEP_RESET
            else:
                cause = {"reset": HARD_RESET, "watchdog": WDT_RESET}.get(verdict, PWRON_RESET)
            if cause == SOFT_RESET:
                self._say(b"MPY: soft reboot\r\n")
            else:
                self.resets += 1
                self._say(_TOLD[cause])
                if cause == PWRON_RESET:
                    (Path(self._state.name) / "rtc").unlink(missing_ok=True)
                    (Path(self._state.name) / "clock").unlink(missing_ok=True)
            await asyncio.sleep(_RESTART)

    async def _sleep(self, seconds):
        """Deep sleep, for ever if it is 0 s; whether it came to its end."""
        self._pressed.clear()
        pressing = asyncio.ensure_future(self._pressed.wait())
        done, _ = await asyncio.wait({pressing}, timeout=seconds or None)
        pressing.cancel()
        return not done

    async def _once(self, cause, raw, started):
        """From power-on, or a reset, to the next: (why, detail)."""
        loop = asyncio.get_running_loop()
        self._terminal.renew(keep=cause == SOFT_RESET)
        verdict = self._verdict = loop.create_future()  # another life's is no business of this one
        control, notes = os.pipe()
        process = self._process = await self._launch(cause, raw, notes)
        os.close(notes)
        loop.add_reader(control, self._note, control)
        ending = loop.create_task(process.wait())
        ending.add_done_callback(lambda _: verdict.done() or self._end("exit", ""))
        try:
            if raw:
                self._terminal.write(b"\x01")
            await self._begun()
            started.set()
            why, detail = await verdict
            if why == "exit" and process.returncode < 0 and process.returncode != -signal.SIGINT:
                self._say(b"\r\nMicroPython has crashed\r\n")
                why = "crash"
            return why, detail
        finally:
            self._set_watchdog(None)
            loop.remove_reader(control)
            os.close(control)
            if process.returncode is None:
                process.kill()
            await process.wait()
            self._hear()

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
            start_new_session=True,  # the host's Ctrl-C is none of the board's
            stdin=self._terminal.inside,
            stdout=self._terminal.inside,
            stderr=subprocess.STDOUT,
        )

    async def _begun(self):
        """Return when boot.py is about to run, or was."""
        give_up = time.monotonic() + _START
        while not self._running:
            if self._verdict.done():
                why, detail = self._verdict.result()
                if why == "exit":
                    status = self._process.returncode
                    detail = f"MicroPython ended at once, with status {status}"
                if why in ("exit", "broken"):
                    raise BoardError(detail)
                return
            if time.monotonic() > give_up:
                raise BoardError(f"MicroPython was not running after {_START} s")
            await asyncio.sleep(0.002)

    def _end(self, why, detail):
        if self._verdict is not None and not self._verdict.done():
            self._running = False
            self._verdict.set_result((why, detail))

    def _note(self, control):
        """What the stand-ins tell, a line each."""
        for line in os.read(control, 4096).decode().splitlines():
            what, _, detail = line.partition(" ")
            if what == "begun":
                self._running = True
                self._type()
            elif what == "watch":
                self._set_watchdog(int(detail) / 1000)
            else:
                self._end(what, detail)

    def _set_watchdog(self, seconds):
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._watchdog = loop.call_later(seconds, self._end, "watchdog", "")

    # -- the console ---------------------------------------------------------------------------

    def _hear(self):
        while data := self._terminal.read():
            self._say(self._newlines.to_host(data))

    def _say(self, data):
        self._port.write(data)
        self._said.feed(data)

    def _received(self, data):
        self._newlines.from_host(data)
        self._typed += data
        self._type()

    def _type(self):
        """Give MicroPython what was typed; Ctrl-C as a signal while a program runs."""
        if not self._running or self._interrupting:
            return
        if _CTRL_C in self._typed and interruptible(self._process.pid, self._terminal):
            self._typed = self._typed.replace(_CTRL_C, b"")
            self._interrupting = True
            self._interrupt(self._process, time.monotonic() + _BUSY)
            return
        if self._typed:
            del self._typed[: self._terminal.write(bytes(self._typed))]
        if self._typed:  # full: somebody types ahead of a program that does not read
            asyncio.get_running_loop().call_later(0.01, self._type)

    def _interrupt(self, process, give_up):
        """Raise KeyboardInterrupt in the program: when it waits, or at last wherever it is."""
        if process.returncode is None and interruptible(process.pid, self._terminal):
            busy = time.monotonic() < give_up
            if busy and not interrupt_at_rest(process.pid):
                again = asyncio.get_running_loop().call_later
                again(0.002, self._interrupt, process, give_up)
                return
            if not busy:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)
        self._interrupting = False
        self._type()


class _Lines:
    """The console's last lines, for programs that watch it."""

    def __init__(self):
        self._lines = collections.deque(maxlen=_LINES)
        self._rest = self._last = b""
        self._more = asyncio.Event()

    @property
    def raw(self):
        """Whether the raw REPL spoke last: to an empty command, or after one that ran."""
        return not self._rest and self._last.endswith(b">OK") or self._rest.endswith(b"\x04")

    def feed(self, data):
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            self._last = line[-64:]
            self._lines.append(line.decode(errors="replace"))
        self._rest = self._rest[-_ROOM:]
        if self._rest == _PROMPT and (lines or len(data) >= len(_PROMPT)):
            self._lines.append(_PROMPT.decode())
        self._more.set()

    async def lines(self):
        while True:
            while self._lines:
                yield self._lines.popleft()
            self._more.clear()
            await self._more.wait()


def _with_standins(heap):
    """The heap to ask MicroPython for. ValueError: no size."""
    number, scale = heap, 1
    for letter, factor in (("K", 1024), ("M", 1024 * 1024)):
        if heap.upper().endswith(letter):
            number, scale = heap[:-1], factor
    words = number.endswith("w")
    digits = number[:-1] if words else number
    if not digits.isdigit() or int(digits) * scale < _LEAST:
        raise ValueError(f"heap: {heap} is no size such as 128wK")
    size = int(digits) * scale
    return f"{size + _STANDINS}w" if words else str(size + 2 * _STANDINS)
