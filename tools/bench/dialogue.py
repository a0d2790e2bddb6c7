"""A client program that is told, line by line, what to do next, while its bytes are counted."""

import asyncio
import contextlib
import json

PATIENCE = 30


class DialogueError(Exception):
    """The program said something else than was waited for; the text has all that it said."""


class Dialogue:
    """See dialogue()."""

    def __init__(self, process):
        self._process = process
        self._said = []

    async def expect(self, *words):
        """The next line of JSON that is one of `words`; other output is passed over."""
        while True:
            read = self._process.stdout.readline()
            line = await asyncio.wait_for(read, PATIENCE)
            if not line:
                raise DialogueError("\n".join([f"ended without {words}:", *self._said[-8:]]))
            self._said.append(line.decode(errors="replace").rstrip())
            with contextlib.suppress(ValueError):
                word = json.loads(line)
                if word in words:
                    return word

    async def tell(self, value):
        self._process.stdin.write(json.dumps(value).encode() + b"\n")
        await asyncio.wait_for(self._process.stdin.drain(), PATIENCE)


@contextlib.asynccontextmanager
async def dialogue(command, settings, environment):
    """A Dialogue with `command` (a list), whose first line of input is `settings` as JSON."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    try:
        made = Dialogue(process)
        await made.tell(settings)
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.wait_for(process.wait(), PATIENCE)
