"""QoS 1 telemetry over long round trips: the share of what the window allows. A window of n
messages allows n a round trip; where the machine cannot do as many, nine tenths of our own
loopback rate is the limit. simulated_network.py puts the round trip between MicroPython and
mosquitto on this machine; programs and messages are those of telemetry.
"""

import asyncio
import itertools

from . import brokers, programs
from .rows import OURS, Goal, Row
from .simulated_network import Conditions, SimulatedNetwork

CLIENTS = {OURS: "ours", "raw": "raw", "chumicro-mqtt": "chumicro"}
WINDOWS = (1, 4, 16, 64, 256)
# Each is (round trip in seconds, windows measured side by side): over the long one they disturb
# one another little, but for a client that never pauses.
BUSY = ("chumicro-mqtt",)
SHORT = tuple((0.05, (window,)) for window in WINDOWS)
RUNS = ((0.3, WINDOWS), *SHORT)
ALONE = (*((0.3, (window,)) for window in WINDOWS), *SHORT)
QUICK_RUNS = ((0.3, WINDOWS), (0.05, (256,)))
FULL = {0.05: 12, 0.3: 4}  # round trip: windows of messages sent
LOOPBACK = 8000  # messages
GOAL = 0.9
SLACK = 1.5
_SERIAL = itertools.count()  # clients side by side have names of their own


async def measure(rounds, quick=False):
    """Rows of rate ÷ (window ÷ round trip), for each round trip and window."""
    clients = [OURS, "raw"] if quick else programs.available(CLIENTS)
    runs = QUICK_RUNS if quick else RUNS
    found = {}
    async with brokers.mosquitto() as broker:
        for _ in range(rounds if broker is not None else 0):
            loopback = await _rate(broker.port, broker, OURS, 256, LOOPBACK)
            for name in clients:
                with programs.forgiven(name):
                    for trip, windows in ALONE if name in BUSY else runs:
                        rates = await _rates(broker, name, trip, windows)
                        for window, rate in zip(windows, rates, strict=True):
                            limit = min(window / trip, GOAL * loopback)
                            values = found.setdefault((trip, window), {})
                            values.setdefault(name, []).append(rate / limit)
    return [_row(trip, window, found[trip, window]) for trip, window in sorted(found)]


def what(trip, window):
    return f"QoS 1 at {trip * 1000:.0f} ms round trip, {window} in flight"


def _row(trip, window, values):
    return Row(
        what(trip, window),
        "of window ÷ round trip",
        values,
        (Goal(GOAL, at_least=True, slack=SLACK),),
        "the delay's timers are late by up to 1 ms each way, for the raw loop, too",
    )


async def _rates(broker, name, trip, windows):
    """Messages a second at each of `windows`, side by side, each over a network of its own."""

    async def one(window):
        async with SimulatedNetwork(broker.port, Conditions(trip)) as network:
            return await _rate(network.port, broker, name, window, window * FULL[trip])

    return await asyncio.gather(*map(one, windows))


async def _rate(port, broker, name, window, count):
    device = f"dev{next(_SERIAL) % 10}"
    settings = programs.telemetry_settings(
        broker,
        window,
        port=port,
        device=device,
        topic=f"devices/{device}/messages/events/",
        count=count,
        allocated=False,
    )
    one = await programs.result(CLIENTS[name], settings, folders=programs.folders_of(name))
    return one["count"] / one["seconds"]
