"""What the device client adds to a method's round trip: the service calls a method of a device
again and again, and does the same with the least program that answers, beside it.

What the hub, the network and the service take is in both, so the difference is the client's.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from iothub.sas import sas_token

from ..files import ROOT
from .programs import CLIENTS, run
from .rows import OURS, Goal, Row

RAW = "raw"
PROGRAMS = {OURS: "method_ours.py", RAW: "method_raw.py"}
WINDOW = 16
PAYLOAD = {"a": [1, 2, 3], "name": "value"}
# what the device does meanwhile: (tasks that send telemetry, ms that may be added)
LOADS = {"idle": (0, 5), "under full telemetry": (2 * WINDOW, 20)}
HEAP = "256wK"


async def measure(rounds, quick=False):
    """Rows of ms: medians of a round's calls, and what ours has more than raw."""
    from ..local_hub import running_hub
    from ..service.client import ServiceClient

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_hub(Path(folder)) as hub,
            ServiceClient.create_for_local_hub(hub) as service,
        ):
            for load, (senders, bound) in LOADS.items():
                took = {name: [] for name in PROGRAMS}
                rates = {name: [] for name in PROGRAMS}
                for number in range(rounds):
                    for name, values in took.items():
                        device = f"{name}-{senders}-{number}"
                        calls = _calls(service, device, 50 if quick else 600)
                        rate, middle = await _one(hub, service, device, name, senders, calls)
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


async def _one(hub, service, device, name, senders, calls):
    """(messages a second, median of `calls`) of a device that runs the program `name`."""
    made = await service.create_device(device)
    key, ca = made["authentication"]["symmetricKey"]["primaryKey"], Path(hub["ca_file"])
    settings = {
        "host": "localhost",
        "port": hub["mqtt_port"],
        "ca": str(ca),
        "der": str(ca.with_suffix(".der")),
        "device": device,
        "key": key,
        "user": f"localhost/{device}/?api-version=2021-04-12",
        "token": sas_token(f"localhost/devices/{device}", key, int(time.time()) + 3600),
        "senders": senders,
        "window": WINDOW,
    }
    program = run(CLIENTS / PROGRAMS[name], settings, [CLIENTS, ROOT / "firmware"], HEAP)
    calling = asyncio.create_task(calls)
    try:
        rate = (await program)["sent"]
    except BaseException:
        calling.cancel()
        raise
    return rate, await calling


async def _calls(service, device, count):
    """The median time of `count` calls, in ms; the device is told to stop."""
    times = []
    for _ in range(count + 1):
        start = time.perf_counter()
        status, payload = await service.invoke_method(device, "echo", PAYLOAD)
        times.append((time.perf_counter() - start) * 1000)
        if (status, payload) != (200, PAYLOAD):
            raise ValueError(f"a method answered {status} {payload}")
    await service.invoke_method(device, "stop", PAYLOAD)
    return statistics.median(times[1:])  # the first one waited for the device
