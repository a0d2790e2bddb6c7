"""Run a virtual board against a local hub, and show what they exchange.

The board is the real MicroPython with a board's heap; it runs boot.py and main.py unchanged. The
demo shows telemetry, a cloud-to-device (C2D) message, a desired and a reported property of the
device twin, direct methods, and a connection that is lost and made again.

It ends by itself in less than 40 s. The exit status is 0 if every step worked; otherwise the last
line says which one did not, and why.

    {prog} demo
    {prog} demo --forever        goes on until Ctrl-C
    {prog} demo --heap 80wK      a board with less memory (w: words of a 32-bit board)
"""

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path

from aiohttp import ClientError
from rich.console import Console
from rich.text import Text

from iothub.errors import RefusedError

from .board.disk import furnish
from .board.machine import Board, BoardError
from .device import connection_string
from .local_hub import HubError, running_hub
from .service.client import ServiceClient

DEVICE = "demo-board"
PROMPT = ">>> "
BANNER = ("MicroPython ", "Type ")  # the REPL's first lines, once the program has ended
STEP_TIMEOUT = 12  # seconds
WHOLE_TIMEOUT = 38


class StepFailed(Exception):
    """A step did not happen; the text says which one and why."""


class Transcript:
    """The output: each line with its time and its speaker."""

    STYLES = {"cloud": "bold cyan", "hub": "yellow", "board": "green", "demo": "bold"}

    def __init__(self):
        self._console = Console(highlight=False, soft_wrap=True)
        self._start = time.monotonic()

    @property
    def elapsed(self):
        """Seconds since the start."""
        return time.monotonic() - self._start

    def say(self, speaker, text, style=None):
        line = Text(f"{self.elapsed:6.2f} s  ", style="dim")
        line.append(f"{speaker:>5} │ ", style=self.STYLES[speaker])
        line.append(text, style=style or "")
        self._console.print(line)


class BoardConsole:
    """The board's serial console: its lines are shown, and kept for steps that wait for one."""

    def __init__(self, board, transcript):
        self._board = board
        self._transcript = transcript
        self._lines = []
        self._grown = asyncio.Condition()

    async def run(self):
        """Show the lines until the board's program has ended."""
        async for line in self._board.lines():
            if line == PROMPT:
                return
            self._transcript.say("board", line)
            async with self._grown:
                self._lines.append(line)
                self._grown.notify_all()

    def position(self):
        """The number of lines so far, for wait_for()."""
        return len(self._lines)

    async def wait_for(self, text, position):
        """Wait for a line with `text`, at `position` or later."""
        async with self._grown:
            await self._grown.wait_for(
                lambda: any(text in line for line in self._lines[position:])
            )

    def program_ended(self):
        """The StepFailed to raise when the board's program has ended."""
        said = [line for line in self._lines if not line.startswith(BANNER)]
        last = said[-1] if said else "it printed nothing"
        return StepFailed(f"the board's program ended: {last}")


class Steps:
    """What the cloud does with the board, in order. `done` names the steps that worked."""

    def __init__(self, service, events, console, transcript):
        self._service = service
        self._events = events
        self._console = console
        self._transcript = transcript
        self.done = []

    async def run(self):
        """Run all steps. StepFailed: one did not happen in STEP_TIMEOUT seconds."""
        for name, step in (
            ("telemetry", self.telemetry),
            ("C2D message", self.c2d_message),
            ("device twin", self.twin),
            ("direct methods", self.methods),
            ("reconnect", self.reconnect),
        ):
            try:
                await asyncio.wait_for(step(), STEP_TIMEOUT)
            except asyncio.TimeoutError:
                raise StepFailed(f"{name}: nothing happened for {STEP_TIMEOUT} s") from None
            self.done.append(name)

    def say(self, text):
        self._transcript.say("cloud", text)

    async def next_telemetry(self, since=0):
        """The body of the next telemetry message that the hub got at time `since` or later."""
        while True:
            event = await anext(self._events)
            is_telemetry = event.annotations["iothub-message-source"] == "Telemetry"
            if is_telemetry and event.enqueued_time >= since * 1000:
                return event.data.decode()

    async def telemetry(self):
        self.say(f"receives telemetry: {await self.next_telemetry()}")

    async def c2d_message(self):
        self.say("sends a cloud-to-device (C2D) message: hello, board")
        properties = {"colour": "grün", "empty": "", "null": None}
        position = self._console.position()
        await self._service.send_c2d_message(DEVICE, "hello, board", properties)
        await self._console.wait_for("message: hello, board", position)

    async def twin(self):
        self.say("sets the desired property telemetryInterval to 1")
        desired = {"properties": {"desired": {"telemetryInterval": 1}}}
        await self._service.patch_twin(DEVICE, desired)
        while True:
            twin = await self._service.get_twin(DEVICE)
            reported = twin["properties"]["reported"]
            if reported.get("telemetryInterval") == 1:
                break
            await asyncio.sleep(0.1)
        self.say(f"reads the reported properties: {_named(reported)}")

    async def methods(self):
        await self.method("getStatus", None, 200)
        await self.method("dance", {"steps": 3}, 404)

    async def method(self, name, payload, expected):
        arguments = "" if payload is None else f" with {payload}"
        self.say(f"calls the direct method {name}{arguments}")
        status, answer = await self._service.invoke_method(DEVICE, name, payload)
        self.say(f"gets the answer {status}: {answer}")
        if status != expected:
            raise StepFailed(f"direct method {name}: the status is {status}, not {expected}")

    async def reconnect(self):
        self._transcript.say("hub", "cuts the board's connection")
        now, position = time.time(), self._console.position()
        await self._service.local.cut_connection(DEVICE)
        await self._console.wait_for("closed the connection", position)
        self.say(f"receives telemetry again: {await self.next_telemetry(since=now)}")


def _named(properties):
    """The properties without $version and $metadata."""
    return {name: value for name, value in properties.items() if not name.startswith("$")}


async def while_running(steps, watching, console, timeout):
    """Run `steps` for up to `timeout` seconds. StepFailed: the board's program ended before."""
    running = asyncio.create_task(steps)
    try:
        both = {running, watching}
        done, _ = await asyncio.wait(both, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if watching in done:
            raise console.program_ended()
        if not done:
            raise StepFailed("it took too long")
        await running
    finally:
        running.cancel()


@contextlib.asynccontextmanager
async def powered_on(board, console):
    """Switch the board on, and off at the end; yields the task that shows its console."""
    await board.start()
    watching = asyncio.create_task(console.run())
    try:
        yield watching
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await board.stop()


async def demo(args, transcript):
    """The whole demo: the names of the steps. StepFailed: the first that did not work."""
    with (
        tempfile.TemporaryDirectory(prefix="iothub-demo-hub-") as data,
        tempfile.TemporaryDirectory(prefix="iothub-demo-board-") as disk,
    ):
        async with (
            running_hub(Path(data)) as hub,
            ServiceClient.create_for_local_hub(hub) as service,
        ):
            transcript.say("hub", f"listens for MQTT over TLS on port {hub['mqtt_port']}")
            device = await service.create_device(DEVICE)
            transcript.say("cloud", f"registers the device {DEVICE}")
            events = await service.events()
            settings = {
                "wifi_ssid": "demo",
                "wifi_password": "",
                "connection_string": connection_string(device, hub),
                "server_verification_cert": hub["ca_file"],
            }
            furnish(disk, settings)
            board = Board(disk, heap=args.heap)
            console = BoardConsole(board, transcript)
            async with powered_on(board, console) as watching:
                transcript.say("demo", f"starts boot.py and main.py with a heap of {args.heap}")
                steps = Steps(service, events, console, transcript)
                left = WHOLE_TIMEOUT - transcript.elapsed
                await while_running(steps.run(), watching, console, left)
                if args.forever:
                    transcript.say("demo", "goes on until Ctrl-C")
                    await watching
                    raise console.program_ended()
            return steps.done


def arguments(parser):
    parser.add_argument("--forever", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("--heap", default="128wK", help="the board's heap (default: %(default)s)")


def run(args):
    transcript = Transcript()
    failures = (StepFailed, HubError, BoardError, RefusedError, ClientError, OSError, ValueError)
    try:
        done = asyncio.run(demo(args, transcript))
    except KeyboardInterrupt:
        transcript.say("demo", "stopped")
        return 0
    except (*failures, asyncio.TimeoutError) as error:
        reason = error or "it took too long"
        transcript.say("demo", f"FAILED: {reason}", style="bold red")
        return 1
    summary = f"OK: {', '.join(done)}, in {transcript.elapsed:.1f} s"
    transcript.say("demo", summary, style="bold green")
    return 0
