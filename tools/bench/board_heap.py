"""The least heap in which a program of four features (telemetry, a C2D message, the twin, a direct
method) runs: from source, compiled, and from ROMFS in flash; beside it the same program by
umqtt.simple, and TLS alone. It is found by bisection, in KB of -X heapsize=…wK: two bytes of a
64-bit build count as one.
"""

import math

from ..processes import ProcessError
from . import features
from .rows import OURS, Goal, Row

TOO_SMALL, ENOUGH = 4, 128
DOCUMENTED = 60  # the program of the bench, from source, with a margin
GOALS = {"source": Goal(48), ".mpy": Goal(32), features.ROMFS: Goal(32)}
NAMES = (OURS, features.UMQTT, features.TLS)


async def measure(rounds, quick=False):
    """Rows of KB; a size is enough when `rounds` runs in it succeed, one after the other.

    quick: only whether the documented size is enough; the value is inf where it is not.
    """
    async with features.bench() as bench:
        if quick:
            enough = await fits(bench, OURS, "source", DOCUMENTED, rounds)
            found = {OURS: [DOCUMENTED if enough else math.inf]}
            return [Row("least heap, from source, at most", "KB", found, (Goal(DOCUMENTED),))]
        rows = []
        for form, goal in GOALS.items():
            found = {name: [await least(bench, name, form, rounds)] for name in NAMES}
            note = where_it_goes((await bench.run(OURS, form))["marks"], form)
            rows.append(Row(f"least heap, {form}", "KB", found, (goal,), note))
    return rows


async def least(bench, name, form, rounds):
    """The least size in KB that is enough."""
    low, high = TOO_SMALL, ENOUGH
    while high - low > 1:
        middle = (low + high) // 2
        if await fits(bench, name, form, middle, rounds):
            high = middle
        else:
            low = middle
    return high


async def fits(bench, name, form, size, rounds):
    """Whether `rounds` runs succeed: the heap differs a little from run to run."""
    try:
        for _ in range(rounds):
            await bench.run(name, form, f"{size}wK")
    except ProcessError:
        return False
    return True


def where_it_goes(marks, form):
    """The heap in use at each stage of a run with room enough, as text."""
    held = {stage: f"{size / 2048:.1f}" for stage, (_, size) in marks.items()}
    what = "names, functions, classes" if form == features.ROMFS else "code, in whatever form"
    return (
        f"{held['import']} KB once imported ({what}), {held['connect']} once connected, "
        f"{held['use']} in use, without garbage"
    )
