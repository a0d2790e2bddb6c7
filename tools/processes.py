"""Runs a program and exchanges lines with it: the local hub, device programs, benchmarks.

A line that is a JSON list is a message [word, value, …]. The first line of a program's input may
be its settings, as a JSON object.
"""

import asyncio
import contextlib
import json
from pathlib import Path

PATIENCE = 40  # seconds that a line may take
_GRACE = 5  # seconds to end after SIGTERM
_LIMIT = 1 << 20  # bytes of a line
_SHOWN = 8  # lines of output in an error


class ProcessError(Exception):
    """A program failed or did not answer in time; the text ends with its last output."""


class Process:
    """A running program; see running().

    said: a message for each line that it has printed so far; a line that is no message is [text].
    """

    def __init__(self, process, name, patience):
        self._process = process
        self._name = name
        self._patience = patience
        self.said = []
        self.pid = process.pid

    @property
    def returncode(self):
        """The exit status, or None while the program runs."""
        return self._process.returncode

    async def line(self):
        """The next line of output, as text. ProcessError: there is none."""
        line = await self._within(self._process.stdout.readline(), "said nothing")
        if not line:
            raise self._error(f"ended with {await self.wait()}")
        return self._keep(line)

    async def lines(self):
        """The lines up to the end of the output."""
        output = await self._within(self._process.stdout.read(), "did not end")
        return [self._keep(line) for line in output.splitlines()]

    async def expect(self, word, *values):
        """Wait for a message that begins with `word` and `values`: what follows `word`."""
        while True:
            words = await self.expect_any(word)
            if words[1 : 1 + len(values)] == list(values):
                return words[1:]

    async def expect_any(self, *wanted):
        """Wait for a message whose word is one of `wanted`."""
        try:
            while True:
                await self.line()
                if self.said[-1][0] in wanted:
                    return self.said[-1]
        except ProcessError as error:
            raise ProcessError(f"expected {' or '.join(wanted)}: {error}") from None

    async def result(self):
        """The value of the message ["result", value] of a program that then ends with status 0."""
        (value,) = await self.expect("result")
        await self.lines()
        if status := await self.wait():
            raise self._error(f"ended with {status}")
        return value

    async def wait(self):
        """Wait for the end: the exit status."""
        return await self._within(self._process.wait(), "did not end")

    async def tell(self, word, value=None):
        """Send the program [word, value]."""
        await self.write(json.dumps([word, value]))

    async def write(self, line):
        """Send the program a line of text."""
        self._process.stdin.write(line.encode() + b"\n")
        await self._within(self._process.stdin.drain(), "did not read")

    def kill(self):
        """End the program at once, as a power cut does."""
        self._process.kill()

    def send_signal(self, number):
        self._process.send_signal(number)

    def _keep(self, line):
        text = line.decode(errors="replace").rstrip("\r\n")
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        self.said.append(message if isinstance(message, list) and message else [text])
        return text

    async def _within(self, waiting, failure):
        try:
            return await asyncio.wait_for(waiting, self._patience)
        except asyncio.TimeoutError:
            raise self._error(f"{failure} for {self._patience} s") from None

    def _error(self, reason):
        said = [json.dumps(words) if words[1:] else str(words[0]) for words in self.said]
        return ProcessError("\n".join([f"{self._name} {reason}", *said[-_SHOWN:]]))


@contextlib.asynccontextmanager
async def running(
    command, settings=None, environment=None, log=None, patience=PATIENCE, terminate=False
):
    """A Process that runs `command` (a list) until the block ends.

    settings: its first line of input. log: a file for its standard error, which is otherwise part
    of its output. patience: seconds that each wait may take. terminate: send SIGTERM at the end
    and wait, before it is killed.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=log or asyncio.subprocess.STDOUT,
        env=environment,
        limit=_LIMIT,
    )
    try:
        made = Process(process, _name(command), patience)
        if settings is not None:
            await made.write(json.dumps(settings))
        yield made
    finally:
        await _end(process, terminate)


def _name(command):
    """The program of a command, for errors: the first Python file in it, or its first word."""
    paths = [Path(word) for word in map(str, command)]
    return next((path.name for path in paths if path.suffix == ".py"), paths[0].name)


async def _end(process, terminate):
    if terminate and process.returncode is None:
        process.terminate()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), _GRACE)
    if process.returncode is None:
        process.kill()
    await process.wait()
