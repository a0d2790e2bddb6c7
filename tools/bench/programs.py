"""The client programs of clients/: what each is told, and how one is run in MicroPython."""

import asyncio
import contextlib
import json
import sys
import tempfile
from pathlib import Path

from ..files import ROOT
from ..interpreter import environment, interpreter
from . import peers
from .rows import OURS

CLIENTS = Path(__file__).parent / "clients"
DEADLINE = 60
TOPIC = "devices/dev1/messages/events/"
PAYLOAD = 100


class ClientError(Exception):
    """A client program failed, or was not done in time; the text ends with its last output."""


def available(names):
    """Those of `names` whose programs can be run: without what could not be fetched."""
    return [name for name in names if name not in peers.PEERS or peers.at_hand()]


@contextlib.contextmanager
def forgiven(name):
    """A peer's ClientError is told, and costs it the round; ours is raised."""
    try:
        yield
    except ClientError as error:
        if name == OURS:
            raise
        print(f"left out of a round: {name}: {error}", file=sys.stderr)


def client_folders(name):
    """Where the program of client `name` imports from; what it does not need is not fetched."""
    return [CLIENTS, peers.folder() if name in peers.PEERS else ROOT / "firmware"]


def client_settings(broker, flying, **others):
    """A client program's line of input, for `flying` messages in flight; `others` are added."""
    return {
        "host": "localhost",
        "port": broker.port,
        "ca": broker.ca_file,
        "window": flying,
        "senders": flying,
        "payload": PAYLOAD,
        "topic": TOPIC,
        **others,
    }


async def run(program, settings, folders, heap="8192wK"):
    """What `program` (a path) prints: {"seconds", "allocated" (bytes a message), "count"}.

    `settings` is its line of input, `folders` are where it imports from, `heap` is as for -X
    heapsize: w counts as on a 32-bit board.
    """
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            interpreter(),
            "-X",
            f"heapsize={heap}",
            str(program),
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env=environment(*folders),
        )
        line = json.dumps(settings).encode() + b"\n"
        try:
            await asyncio.wait_for(process.communicate(line), DEADLINE)
            ended = f"ended with {process.returncode}"
        except asyncio.TimeoutError:
            ended = f"was not done after {DEADLINE} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        output.seek(0)
        lines = output.read().decode(errors="replace").splitlines()
    try:
        if process.returncode == 0:
            return json.loads(lines[-1])
    except (IndexError, ValueError):
        ended = "ended without a result"
    raise ClientError("\n".join([f"{Path(program).name} {ended}", *lines[-8:]]))
