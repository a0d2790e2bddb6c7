"""Runs the client programs in clients/, in MicroPython on this machine."""

import contextlib
import sys
from pathlib import Path

from ..files import ROOT
from ..interpreter import environment, interpreter, word_size
from ..processes import ProcessError, running
from . import peers
from .rows import OURS

CLIENTS = Path(__file__).parent / "clients"
FIRMWARE = ROOT / "firmware"
DEADLINE = 60  # seconds
ROOMY = "8192wK"
TOPIC = "devices/dev1/messages/events/"
PAYLOAD = 100
# What the programs connect to. Some try only the first address of localhost, or IPv4 alone.
HOST = "127.0.0.1"


def kib():
    """The unit of heap: KiB, and the word size of the build that they are measured on."""
    return f"KiB, {word_size() * 8}-bit"


def client(name, settings, folders=(CLIENTS, FIRMWARE), heap=ROOMY, patience=DEADLINE):
    """A context manager of the Process that runs clients/name.py.

    folders: where it imports from. heap: as for -X heapsize, where wK are KiB on a 32-bit build.
    """
    command = [interpreter(), "-X", f"heapsize={heap}", str(CLIENTS / f"{name}.py")]
    return running(command, settings, environment(*folders), patience=patience)


async def result(name, settings, **options):
    """Run clients/name.py to its end: its result. ProcessError."""
    async with client(name, settings, **options) as program:
        return await program.result()


# -- telemetry to a broker, by one of several clients ---------------------------------------------


def available(names):
    """Those of `names` that can be run: a peer that could not be fetched is left out."""
    return [name for name in names if name not in peers.PEERS or peers.at_hand()]


@contextlib.contextmanager
def forgiven(name):
    """A peer that fails is reported, and left out of the round; a failure of ours is raised."""
    try:
        yield
    except ProcessError as error:
        if name == OURS:
            raise
        print(f"left out of a round: {name}: {error}", file=sys.stderr)


def folders_of(name):
    """Where the program of client `name` imports from; a peer is fetched if need be."""
    return [CLIENTS, peers.folder() if name in peers.PEERS else FIRMWARE]


def telemetry_settings(broker, flying, **others):
    """The settings of a telemetry client with `flying` messages in flight, and `others`."""
    return {
        "host": HOST,
        "port": broker.port,
        "ca": broker.ca_file,
        "device": "dev1",
        "key": "c2VjcmV0",
        "window": flying,
        "senders": flying,
        "payload": PAYLOAD,
        "topic": TOPIC,
        **others,
    }
