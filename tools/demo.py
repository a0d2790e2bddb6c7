"""Play the cloud in front of a board: telemetry, a message, twin, methods, a cut connection.

Starts the local hub on free ports, registers a device, and runs boot.py and main.py, unchanged,
in the real MicroPython with a board's heap. Ends by itself: exit status 0 when every step was
seen to work, 1 and the reason when one was not.

    {prog} demo                  the whole play, well under 40 s
    {prog} demo --forever        then goes on until Ctrl-C
    {prog} demo --heap 64wK      with less memory (the number is a 32-bit board's)
"""

import asyncio
import tempfile
import time
from pathlib import Path

DEVICE = "demo-board"
PROMPT = ">>> "
BANNER = ("MicroPython ", "Type ")  # the REPL's, when a program has ended
STEP_TIMEOUT = 12
WHOLE_TIMEOUT = 38


class Failed(Exception):
    """A step did not happen; the text says which and why."""


class Stage:
    """What the reader sees: each line with its time and who speaks."""

    STYLES = {"cloud": "bold cyan", "hub": "yellow", "board": "green", "demo": "bold"}

    def __init__(self):
        from rich.console import Console

        self._console = Console(highlight=False, soft_wrap=True)
        self._start = time.monotonic()

    @property
    def elapsed(self):
        return time.monotonic() - self._start

    def say(self, who, text, style=None):
        from rich.text import Text

        line = Text(f"{self.elapsed:6.2f} s  ", style="dim")
        line.append(f"{who:>5} │ ", style=self.STYLES[who])
        line.append(text, style=style or "")
        self._console.print(line)


class Console:
    """The board's console: shown as it comes, and kept so that a step can wait for a line."""

    def __init__(self, board, stage):
        self._board = board
        self._stage = stage
        self._lines = []
        self._grown = asyncio.Condition()

    async def run(self):
        async for line in self._board.lines():
            if line == PROMPT:  # there the program has ended
                return
            self._stage.say("board", line)
            async with self._grown:
                self._lines.append(line)
                self._grown.notify_all()

    def mark(self):
        """Where the console is now, for seen()."""
        return len(self._lines)

    async def seen(self, text, since):
        """Wait for a line with `text` after mark `since`."""
        async with self._grown:
            await self._grown.wait_for(lambda: any(text in line for line in self._lines[since:]))

    def ended(self):
        """The Failed to raise when the board's program has ended."""
        said = [line for line in self._lines if not line.startswith(BANNER)]
        last = said[-1] if said else "it said nothing"
        return Failed(f"the board's program ended: {last}")


class Play:
    """The steps, in order. Each raises Failed, or names itself in `done`."""

    def __init__(self, service, console, stage):
        self._service = service
        self._console = console
        self._stage = stage
        self._telemetry = service.telemetry(DEVICE, timeout=STEP_TIMEOUT)
        self.done = []

    async def run(self):
        for step in (self.telemetry, self.message, self.desired, self.methods, self.reconnect):
            try:
                await asyncio.wait_for(step(), STEP_TIMEOUT)
            except asyncio.TimeoutError:
                raise Failed(f"{step.__name__}: nothing happened for {STEP_TIMEOUT} s") from None
            self.done.append(step.__name__)

    def say(self, text):
        self._stage.say("cloud", text)

    async def telemetry(self):
        event = await anext(self._telemetry)
        self.say(f"telemetry arrived: {event['body'].decode()}")

    async def message(self):
        properties = {"colour": "grün", "empty": "", "null": None}
        self.say(f"sends a message with properties {properties}")
        mark = self._console.mark()
        await self._service.send_c2d(DEVICE, b"hello, board", properties=properties)
        await self._console.seen("message: hello, board", mark)

    async def desired(self):
        self.say("asks for a reading every second: desired telemetryInterval = 1")
        await self._service.patch_twin(
            DEVICE, {"properties": {"desired": {"telemetryInterval": 1}}}
        )
        while True:
            twin = await self._service.get_twin(DEVICE)
            reported = twin["properties"]["reported"]
            if reported.get("telemetryInterval") == 1:
                break
            await asyncio.sleep(0.1)
        self.say(f"the board reports telemetryInterval = 1, version {reported['$version']}")

    async def methods(self):
        self.say("calls the method getStatus")
        status, payload = await self._service.invoke_method(DEVICE, "getStatus", None)
        self.say(f"the answer: {status} {payload}")
        if status != 200:
            raise Failed(f"getStatus answered {status}")
        status, payload = await self._service.invoke_method(DEVICE, "dance", {"steps": 3})
        self.say(f"an unknown method is refused: {status} {payload}")
        if status != 404:
            raise Failed(f"an unknown method answered {status}")

    async def reconnect(self):
        self._stage.say("hub", "cuts the connection")
        mark = self._console.mark()
        await self._service.drop(DEVICE)
        await self._console.seen("closed the connection", mark)
        await self._console.seen("sent:", mark + 1)
        last = (await self._service.events(DEVICE))[-1]
        self.say(f"and the board is back: {last['body'].decode()}")


async def while_running(steps, watching, console, timeout):
    """Run `steps`, but not beyond the end of the board's program, nor `timeout` seconds."""
    playing = asyncio.create_task(steps)
    try:
        both = {playing, watching}
        done, _ = await asyncio.wait(both, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if watching in done:
            raise console.ended()
        if not done:
            raise Failed("it took too long")
        await playing
    finally:
        playing.cancel()


async def play(args, stage):
    """The whole demo; the steps that were done. Failed: the first that was not."""
    from .board.disk import furnish
    from .board.machine import Board
    from .device import connection_string
    from .hub.client import ServiceClient
    from .local_hub import running_hub

    with (
        tempfile.TemporaryDirectory(prefix="iothub-demo-hub-") as data,
        tempfile.TemporaryDirectory(prefix="iothub-demo-board-") as disk,
    ):
        async with (
            running_hub(Path(data)) as ports,
            ServiceClient(ports["service_connection_string"], ports["ca_file"]) as service,
        ):
            stage.say("hub", f"MQTT over TLS on port {ports['mqtt_port']}")
            device = await service.create_device(DEVICE)
            settings = {
                "wifi_ssid": "demo",
                "wifi_password": "",
                "connection_string": connection_string(device, ports),
                "server_verification_cert": ports["ca_file"],
            }
            furnish(disk, settings)
            board = Board(disk, heap=args.heap)
            await board.start()
            stage.say("demo", f"boot.py and main.py in MicroPython, heap {args.heap}")
            console = Console(board, stage)
            watching = asyncio.create_task(console.run())
            steps = Play(service, console, stage)
            try:
                await while_running(steps.run(), watching, console, WHOLE_TIMEOUT - stage.elapsed)
                if args.forever:
                    stage.say("demo", "going on until Ctrl-C")
                    await watching
                    raise console.ended()
            finally:
                watching.cancel()
                await asyncio.wait([watching])
                await board.stop()
            return steps.done


def arguments(parser):
    parser.add_argument("--forever", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("--heap", default="128wK", help="the board's heap (default: %(default)s)")


def run(args):
    from aiohttp import ClientError

    from .board.machine import BoardError
    from .hub.client import ServiceError
    from .local_hub import HubError

    stage = Stage()
    mishaps = (Failed, HubError, BoardError, ServiceError, ClientError)
    try:
        done = asyncio.run(play(args, stage))
    except KeyboardInterrupt:
        stage.say("demo", "stopped")
        return 0
    except (*mishaps, OSError, asyncio.TimeoutError) as error:
        stage.say("demo", f"FAILED: {error or 'it took too long'}", style="bold red")
        return 1
    stage.say("demo", f"OK: {', '.join(done)}, in {stage.elapsed:.1f} s", style="bold green")
    return 0
