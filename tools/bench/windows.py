"""QoS 1 telemetry over long round trips: how much of what the window allows is reached.

A window of n messages allows n a round trip. The delay is put between MicroPython and mosquitto on
this machine (see delay); the same programs as in telemetry, and the same messages.
"""

import asyncio
import tempfile
from pathlib import Path

from tools.interpreter import ROOT

from . import brokers, peers, telemetry
from .delay import Conditions, Network
from .rows import OURS, Goal, Row

# round trip in seconds: how many windows are sent
ROUND_TRIPS = {0.05: 16, 0.3: 6}
WINDOWS = (1, 4, 16, 64, 256)
CLIENTS = {OURS: "ours.py", "raw": "raw.py", "chumicro-mqtt": "chumicro.py"}
LOOPBACK = 8000  # messages of ours
REACHED = 0.9


async def _rate(port, broker, name, window, count):
    """Messages a second of one run."""
    settings = {
        "host": "localhost",
        "port": port,
        "ca": broker.ca_file,
        "count": count,
        "window": window,
        "senders": window,
        "payload": telemetry.PAYLOAD,
        "topic": telemetry.TOPIC,
        "allocated": False,
    }
    folders = [telemetry.CLIENTS, peers.folder(), ROOT / "firmware"]
    one = await telemetry.measure(telemetry.CLIENTS / CLIENTS[name], settings, folders)
    return one["count"] / one["seconds"]
