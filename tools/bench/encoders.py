"""SAS tokens, topics and property bags: iothub's encoders beside the shortest code that does the
same, in MicroPython.
"""

import base64

from . import programs
from .rows import OURS, Goal, Row

SHORTEST = "shortest"
KEY = base64.b64encode(bytes(range(32))).decode()
RATE_GOAL = Goal(0.5, at_least=True, against=SHORTEST, slack=1.5)
BYTES_GOAL = Goal(2, against=SHORTEST)


async def measure(rounds, quick=False):
    """Rows of calls a second and of bytes of heap a call, on this 64-bit machine."""
    settings = {"key": KEY, "calls": 500 if quick else 4000}
    rates, sizes = {}, {}
    for _ in range(rounds):
        found = await programs.result("encoders", settings)
        for what, measured in found.items():
            for name in (OURS, SHORTEST):
                rate, size = measured[name]
                rates.setdefault(what, {}).setdefault(name, []).append(rate)
                sizes.setdefault(what, {}).setdefault(name, []).append(size)
    return [
        *(Row(what, "calls a second", rates[what], (RATE_GOAL,)) for what in rates),
        *(Row(what, "bytes allocated a call", sizes[what], (BYTES_GOAL,)) for what in sizes),
    ]
