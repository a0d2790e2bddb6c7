"""The time that the device client adds to a direct method's round trip: the service calls a method
again and again, of a device with the client and of one with the least program that answers.

What the hub, the network and the service take is in both, so the difference is the client's.
"""

import asyncio
import statistics
import time

from iothub.sas import sas_token

from . import programs
from .brokers import local_hub, new_device
from .rows import OURS, Goal, Row

RAW = "raw"
PROGRAMS = {OURS: "method_ours", RAW: "method_raw"}
WINDOW = 16
PAYLOAD = {"a": [1, 2, 3], "name": "value"}
# what the device does meanwhile: (tasks that send telemetry, ms that may be added)
LOADS = {"idle": (0, 5), "under full telemetry": (2 * WINDOW, 20)}
HEAP = "256wK"


async def measure(rounds, quick=False):
    """Rows of ms: medians of the calls of each round, and the difference between ours and raw."""
    rows = []
    async with local_hub() as (hub, service):
        for load, (senders, bound) in LOADS.items():
            took = {name: [] for name in PROGRAMS}
            rates = {name: [] for name in PROGRAMS}
            for number in range(rounds):
                for name, values in took.items():
                    settings = await new_device(hub, service, f"{name}-{senders}-{number}")
                    calls = _calls(service, settings["device"], 50 if quick else 600)
                    rate, middle = await _one(settings, name, senders, calls)
                    rates[name].append(rate)
                    values.append(middle)
            added = {OURS: [a - b for a, b in zip(took[OURS], took[RAW], strict=True)]}
            goal = Goal(bound, slack=3)
            row = Row(f"a method's round trip, {load}", "ms", took)
            if senders:
                said = [f"{name} {statistics.median(rates[name]):,.0f}" for name in rates]
                row = row._replace(note=f"messages a second meanwhile: {', '.join(said)}")
            rows.append(row)
            rows.append(Row(f"… of it added by the client, {load}", "ms", added, (goal,)))
    return rows


async def _one(settings, name, senders, calls):
    """(messages a second, median of `calls`) of a device that runs the program `name`."""
    device, expiry = settings["device"], int(time.time()) + 3600
    settings = {
        **settings,
        "user": f"localhost/{device}/?api-version=2021-04-12",
        "token": sas_token(f"localhost/devices/{device}", settings["key"], expiry),
        "senders": senders,
        "window": WINDOW,
    }
    calling = asyncio.create_task(calls)
    try:
        rate = (await programs.result(PROGRAMS[name], settings, heap=HEAP))["sent"]
    except BaseException:
        calling.cancel()
        raise
    return rate, await calling


async def _calls(service, device, count):
    """The median time of `count` calls, in ms; then the device is told to stop."""
    times = []
    for _ in range(count + 1):
        start = time.perf_counter()
        status, payload = await service.invoke_method(device, "echo", PAYLOAD)
        times.append((time.perf_counter() - start) * 1000)
        if (status, payload) != (200, PAYLOAD):
            raise ValueError(f"a method answered {status} {payload}")
    await service.invoke_method(device, "stop", PAYLOAD)
    return statistics.median(times[1:])  # the first one waited for the device
