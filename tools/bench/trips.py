"""Round trips from the TCP connection to the first message acknowledged by the local hub, with
messages, methods and desired properties subscribed to and the twin read: this firmware in
MicroPython, which may send while connect() is under way, or await it first; azure-iot-device on
CPython.

Counted twice: as turns of direction on the wire (and TCP's own one), and as the time it took
divided by the round trip, which counts what is computed meanwhile, too.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from ..hub.client import ServiceClient
from ..interpreter import ROOT, environment, interpreter
from ..local_hub import running_hub
from .dialogue import dialogue
from .programs import CLIENTS
from .rows import OURS, Goal, Row
from .simulated_network import Conditions, SimulatedNetwork

AWAITED = "ours, connect() awaited"
SDK = "azure-iot-device"
ROUND_TRIP = 0.3
LEAST = 4  # TCP 1, TLS 1.2 2, MQTT 1
COMPUTING = 0.5  # of a round trip: TLS's signatures, on both sides, and MicroPython
DESIRED = {"properties": {"desired": {"interval": 10}}}


async def measure(rounds, quick=False):
    """Rows of the round trips counted, and of the time they took in round trips."""
    turns, times = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_hub(Path(folder)) as hub,
            ServiceClient(hub["service_connection_string"], hub["ca_file"]) as service,
        ):
            for number in range(rounds):
                for serial, name in enumerate([OURS] if quick else [OURS, AWAITED, SDK]):
                    device = await service.create_device(f"{number}-{serial}")
                    await service.patch_twin(device["deviceId"], DESIRED)
                    connection, took = await _visit(hub, device, name)
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


async def _visit(hub, device, name):
    """(Connection, seconds until the first message was acknowledged)"""
    if name == SDK:
        command = [sys.executable, "-W", "ignore", str(CLIENTS / "first_message_azure.py")]
        variables = os.environ
    else:
        command = [interpreter(), "-X", "heapsize=128wK", str(CLIENTS / "first_message.py")]
        variables = environment(ROOT / "firmware")
    async with SimulatedNetwork(hub["mqtt_port"], Conditions(ROUND_TRIP)) as network:
        # azure-iot-device takes no port in its host name.
        host = "localhost" if name == SDK else f"localhost:{network.port}"
        key = device["authentication"]["symmetricKey"]["primaryKey"]
        settings = {
            "connection_string": f"HostName={host};DeviceId={device['deviceId']};"
            f"SharedAccessKey={key}",
            "ca": hub["ca_file"],
            "port": network.port,
            "await_connect": name == AWAITED,
        }
        async with dialogue(command, settings, variables) as client:
            await client.expect("acknowledged")
            (connection,) = network.connections
            return connection, asyncio.get_running_loop().time() - connection.began
