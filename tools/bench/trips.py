"""Round trips from the TCP connection to the first message that the local hub acknowledges, with
three subscriptions (C2D messages, direct methods, desired properties) and the twin read: this
firmware in MicroPython, which may send while connect() is under way, or await it first;
azure-iot-device on CPython.

Counted twice: as turns of direction on the wire (and TCP's own one), and as the time it took
divided by the round trip, which counts what is computed meanwhile, too.
"""

import asyncio
import sys

from ..processes import running
from .brokers import local_hub, new_device
from .programs import CLIENTS, client
from .rows import OURS, Goal, Row
from .simulated_network import Conditions, SimulatedNetwork

AWAITED = "ours, connect() awaited"
SDK = "azure-iot-device"
ROUND_TRIP = 0.3
LEAST = 4  # TCP 1, TLS 1.2 2, MQTT 1
COMPUTING = 0.5  # of a round trip: TLS's signatures, on both sides, and MicroPython
DESIRED = {"properties": {"desired": {"interval": 10}}}


async def measure(rounds, quick=False):
    """Rows of counted round trips, and of the time divided by the round trip."""
    turns, times = {}, {}
    async with local_hub() as (hub, service):
        for number in range(rounds):
            for serial, name in enumerate([OURS] if quick else [OURS, AWAITED, SDK]):
                settings = await new_device(hub, service, f"{number}-{serial}")
                await service.patch_twin(settings["device"], DESIRED)
                connection, took = await _visit(settings, name)
                turns.setdefault(name, []).append(connection.round_trips)
                times.setdefault(name, []).append(took / ROUND_TRIP)
    what = "from TCP's connect to the first message acknowledged, three subscriptions and the twin"
    note = "TCP 1, TLS 1.2 2, MQTT 1"
    return [
        Row(what, "round trips", turns, (Goal(LEAST),), note),
        Row(
            f"the same, at {ROUND_TRIP * 1000:.0f} ms a round trip",
            "time ÷ round trip",
            times,
            (Goal(LEAST + COMPUTING, slack=1.5),),
            note + ", and what both sides compute",
        ),
    ]


async def _visit(settings, name):
    """(Connection, seconds until the first message was acknowledged)"""
    async with SimulatedNetwork(settings["port"], Conditions(ROUND_TRIP)) as network:
        settings = {**settings, "port": network.port, "await_connect": name == AWAITED}
        if name == SDK:
            program = CLIENTS / "first_message_azure.py"
            visiting = running([sys.executable, "-W", "ignore", str(program)], settings)
        else:
            visiting = client("first_message", settings, heap="128wK")
        async with visiting as visitor:
            await visitor.expect("acknowledged")
            (connection,) = network.connections
            return connection, asyncio.get_running_loop().time() - connection.began
