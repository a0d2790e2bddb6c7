"""QoS 1 telemetry from MicroPython to mosquitto, over TLS: this firmware's client, other clients,
and what no client can outrun. Each is a program of clients/, and all are run in turn.
"""

import asyncio
import json
import statistics
import tempfile
from pathlib import Path

from tools.interpreter import ROOT, environment, interpreter

from . import brokers, peers

CLIENTS = Path(__file__).parent / "clients"
DEADLINE = 60
TOPIC = "devices/dev1/messages/events/"
PAYLOAD = 100
# name: (program, {messages in flight: messages sent}); the slow ones send for a second or two
COMPARED = {
    "ours": ("ours.py", {1: 20_000, 8: 20_000, 32: 20_000}),
    "raw": ("raw.py", {1: 20_000, 8: 20_000, 32: 20_000}),
    "chumicro-mqtt": ("chumicro.py", {1: 8_000, 8: 8_000, 32: 8_000}),
    "umqtt.simple": ("umqtt_simple.py", {1: 20}),
    "aiomqttc": ("aiomqttc_client.py", {1: 10, 8: 80, 32: 320}),
}


class ClientError(Exception):
    """A client program failed, or was not done in time; the text ends with its last output."""


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


async def measure(program, settings, folders, heap="8192wK"):
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


async def compare(rounds):
    """{(name, in flight): [what it measured, …]}, of each client beside mosquitto."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        async with brokers.mosquitto(folder, 1) as broker:
            if broker is None:
                return found
            for _ in range(rounds):
                for name, (program, counts) in COMPARED.items():
                    for flying, count in counts.items():
                        settings = client_settings(broker, flying, count=count)
                        one = await measure(CLIENTS / program, settings, client_folders(name))
                        found.setdefault((name, flying), []).append(one)
    return found


def show(found):
    from rich.console import Console
    from rich.table import Table

    def rate(key):
        return statistics.median(one["count"] / one["seconds"] for one in found[key])

    table = Table("client", "in flight", "messages a second", "ours / it", "bytes a message")
    for (name, flying), measured in found.items():
        speed = rate((name, flying))
        allocated = statistics.median(one["allocated"] for one in measured)
        ratio = rate(("ours", flying)) / speed
        table.add_row(name, str(flying), f"{speed:,.0f}", f"{ratio:,.2f}", f"{allocated:,.1f}")
    Console().print(table)
