"""The least heap in which a program of four features (telemetry, a C2D message, the twin, a direct
method) runs: from source, compiled, and from ROMFS in flash; beside it the same program by
umqtt.simple, and TLS alone. Then the same for a program that sends one message. It is found by
bisection, in KiB of the MicroPython that runs here.

A build of another word size needs another heap: objects grow with the word, bytecode does not.
MICROPYTHON=path names such a build.
"""

import math

from ..interpreter import word_size
from ..processes import ProcessError
from . import features
from .programs import kib
from .rows import OURS, Goal, Row

TOO_SMALL, ENOUGH = 8, 256
# By the bytes of a word: the program of the bench, from source, with a margin.
DOCUMENTED = {4: 88, 8: 120}
NAMES = (OURS, features.UMQTT, features.TLS)
# (programs, ours first; form; {bytes of a word: goal in KiB})
MEASURED = (
    (NAMES, "source", {4: 64, 8: 96}),
    (NAMES, ".mpy", {4: 52, 8: 80}),
    (NAMES, features.ROMFS, {4: 32, 8: 64}),
    ((features.TELEMETRY,), ".mpy", {4: 44, 8: 68}),
    ((features.AMQP,), ".mpy", {4: 80}),
)


async def measure(rounds, quick=False):
    """Rows of KiB; a size is enough when `rounds` runs in it succeed, one after the other.

    quick: only whether the documented size is enough; the value is inf where it is not.
    """
    word = word_size()
    async with features.bench() as bench:
        if quick:
            documented = DOCUMENTED[word]
            enough = await fits(bench, OURS, "source", documented, rounds)
            found = {OURS: [documented if enough else math.inf]}
            return [Row("least heap, from source, at most", kib(), found, (Goal(documented),))]
        rows = []
        for names, form, goals in MEASURED:
            found = [[await least(bench, name, form, rounds)] for name in names]
            values = dict(zip((OURS, *names[1:]), found, strict=True))
            note = where_it_goes((await bench.run(names[0], form))["marks"], form)
            what = "four features" if names[0] == OURS else names[0]
            goal = (Goal(goals[word]),) if word in goals else ()
            rows.append(Row(f"least heap, {what}, {form}", kib(), values, goal, note))
    return rows


async def least(bench, name, form, rounds):
    """The least size in KiB that is enough."""
    low, high = TOO_SMALL, ENOUGH
    while high - low > 1:
        middle = (low + high) // 2
        if await fits(bench, name, form, middle, rounds):
            high = middle
        else:
            low = middle
    return high


async def fits(bench, name, form, size, rounds):
    """Whether `rounds` runs in `size` KiB succeed: the heap differs a little from run to run."""
    try:
        for _ in range(rounds):
            await bench.run(name, form, size * 1024)
    except ProcessError:
        return False
    return True


def where_it_goes(marks, form):
    """The heap in use at each stage of a run with room enough, as text."""
    held = {stage: f"{size / 1024:.1f}" for stage, (_, size) in marks.items()}
    what = "names, functions, classes" if form == features.ROMFS else "code, in whatever form"
    return (
        f"{held['import']} KiB once imported ({what}), {held['connect']} once connected, "
        f"{held['use']} in use, without garbage"
    )
