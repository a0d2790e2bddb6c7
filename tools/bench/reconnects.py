"""Reconnects of a fleet whose hub was away: the firmware's Backoff, simulated, beside others.

Each device has a seed of its own and loses its connection at 0 s; while the hub is away every
attempt fails at once, the first one afterwards succeeds.
"""

import random

from iothub.failures import Backoff

from ..files import ROOT
from .rows import OURS, Row

DEVICES = 1000
AWAY = 30  # seconds
PICTURE = ROOT / "docs" / "reconnects.png"


class Fixed:
    """Every 10 s, as azure-iot-device does (connection_retry_interval)."""

    def next(self):
        return 10


def jittered(seed):
    return Backoff(random=random.Random(seed).random)


def unjittered(_seed):
    return Backoff(random=lambda: 1)


COMPARED = {
    "every 10 s, as azure-iot-device": lambda seed: Fixed(),
    "doubling to 60 s, without jitter": unjittered,
    "doubling to 60 s, with full jitter: this firmware": jittered,
}


async def measure(rounds, quick=False):
    """Rows of the highest number within a second; simulated, so one round is enough."""
    tried, made = {}, {}
    for name, make in reversed(COMPARED.items()):
        shown = OURS if make is jittered else name
        fleets = fleet(make)
        tried[shown] = [busiest(time for times in fleets for time in times)]
        made[shown] = [busiest(times[-1] for times in fleets)]
    what = f"{DEVICES:,} devices return to a hub that was away for {AWAY} s"
    return [
        Row(what, "attempts within a second, at most", tried),
        Row(what, "connections within a second, at most", made),
    ]


def attempts(backoff, away=AWAY):
    """The times of one device's attempts to connect, in seconds after the loss; the last one
    succeeds.
    """
    times = [backoff.next()]
    while times[-1] < away:
        times.append(times[-1] + backoff.next())
    return times


def fleet(make, devices=DEVICES, away=AWAY):
    """attempts() of each device; make(seed) gives the delays of one."""
    return [attempts(make(seed), away) for seed in range(devices)]


def busiest(times, span=1):
    """The highest number of `times` within `span` seconds."""
    times = sorted(times)
    first = most = 0
    for last, time in enumerate(times):
        while time - times[first] > span:
            first += 1
        most = max(most, last - first + 1)
    return most


def draw(path=PICTURE):
    """Write the picture: the attempts in each second, before and after the hub's return."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(len(COMPARED), sharex=True, figsize=(8, 6), dpi=100)
    for axes, (name, make) in zip(rows, COMPARED.items(), strict=True):
        tried = fleet(make)
        failed = [time for times in tried for time in times[:-1]]
        made = [times[-1] for times in tried]
        axes.hist([failed, made], bins=range(91), stacked=True, label=["refused", "connected"])
        axes.axvline(AWAY, color="black", linewidth=0.8)
        axes.set_title(f"{name}: at most {busiest(made)} connect within a second", fontsize=10)
        axes.set_ylabel("attempts/s")
    rows[0].legend()
    rows[-1].set_xlabel(f"seconds since {DEVICES} devices lost a hub that is away for {AWAY} s")
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)
    return path
