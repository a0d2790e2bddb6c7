"""Measure this project beside others, and show medians, ratios and goals: the device client beside
other MQTT clients, all in MicroPython; a board's heap; the local hub under load beside mosquitto
(Debian's package); the AMQP codec beside uamqp's and azure-eventhub's.

{prog} bench                            all measurements, three rounds, in under ten minutes
{prog} bench --only telemetry,windows   some of them
{prog} bench --write                    all, and write docs/performance.md with the pictures
{prog} bench --quick                    check the goals, in a minute or so

--quick makes one round, with fewer peers, of the measurements that have a goal. It prints a line
for each goal that is missed by more than its slack, and then its exit status is 1. Counted values
have no slack, timed ones up to a factor of 3; a timed goal that is missed is measured once more,
because the machine may have been busy.
"""

import argparse
import asyncio
import functools
import importlib
import sys
import time

from ..files import CHECKOUT

# Each is a module with measure(rounds, quick); the first paragraph of its docstring says how.
MEASUREMENTS = (
    "telemetry",
    "windows",
    "wire",
    "trips",
    "loop_gap",
    "method_latency",
    "encoders",
    "board_heap",
    "heap_parts",
    "imports",
    "ram",
    "load",
    "codec",
    "reconnects",
)
WITHOUT_GOALS = ("heap_parts", "imports", "ram", "load", "codec", "reconnects")
ROUNDS = 3
DEADLINE = 300  # seconds, of one measurement


def names(text):
    """The measurements in `text`, comma-separated, in the order of MEASUREMENTS."""
    wanted = text.split(",")
    for name in wanted:
        if name not in MEASUREMENTS:
            raise argparse.ArgumentTypeError(
                f"no measurement {name!r}: there are {', '.join(MEASUREMENTS)}"
            )
    return [name for name in MEASUREMENTS if name in wanted]


def arguments(parser):
    parser.add_argument(
        "--only", type=names, metavar="NAMES", help=f"comma-separated: {', '.join(MEASUREMENTS)}"
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="of each, in turn (%(default)s)"
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--quick", action="store_true", help="one round; judge the goals")
    chosen.add_argument(
        "--write", action="store_true", help="write docs/performance.md and the pictures"
    )


class Bench:
    """Runs measurements one after the other; a failed one is reported, and listed in `failed`."""

    def __init__(self, rounds, quick):
        self._rounds = rounds
        self._quick = quick
        self.failed = []

    def section(self, name):
        """The Section of the measurement `name`, or None when it failed or has no rows."""
        from .report import Section

        module = importlib.import_module(f".{name}", __package__)
        start = time.monotonic()
        try:
            rows = asyncio.run(self._measure(module))
        except Exception as error:  # whatever it is, the other measurements are still to come
            self.failed.append(name)
            print(f"{name} failed: {type(error).__name__}: {error}", file=sys.stderr)
            return None
        print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
        how = " ".join(module.__doc__.split("\n\n")[0].split())
        return Section(name, how, rows) if rows else None

    async def _measure(self, module):
        measuring = module.measure(self._rounds, self._quick)
        return await asyncio.wait_for(measuring, DEADLINE)


def missed(section, again):
    """[(row, goal, value), …] of the goals that are missed by more than their slack.

    again() measures once more: a timed goal, which may be missed because the machine was busy, is
    dropped when it is reached then. When again() fails (None), the first time stands.
    """
    first = [one for one in _judged(section) if not _reached(*one)]
    if not any(goal.slack > 1 for _, goal, _ in first):
        return first
    second = again()
    reached = [one for one in _judged(second) if _reached(*one)] if second else []
    forgiven = {(row.what, goal) for row, goal, _ in reached if goal.slack > 1}
    return [one for one in first if (one[0].what, one[1]) not in forgiven]


def _judged(section):
    return [(row, goal, value) for row in section.rows for goal, value in row.judged()]


def _reached(_row, goal, value):
    return goal.reached(value, goal.slack)


def run(args):
    from .report import miss_text, show

    if args.write and args.only:
        print("--write writes all of the page: leave --only out", file=sys.stderr)
        return 2
    if args.write and not CHECKOUT:
        print("bench: --write changes the page of a checkout: run it in one", file=sys.stderr)
        return 2
    bench = Bench(1 if args.quick else args.rounds, args.quick)
    left_out = WITHOUT_GOALS if args.quick else ()
    wanted = args.only or [name for name in MEASUREMENTS if name not in left_out]
    sections, misses = [], []
    for name in wanted:
        section = bench.section(name)
        if section is not None:
            show(section)
            sections.append(section)
            if args.quick:
                misses += missed(section, functools.partial(bench.section, name))
    for miss in misses:
        print(f"missed: {miss_text(*miss)}", file=sys.stderr)
    if args.quick:
        judged = sum(len(_judged(section)) for section in sections)
        print(f"{judged} goals judged, {len(misses)} missed by more than their slack")
    if args.write:
        write(sections)
    return 1 if misses or bench.failed else 0


def write(sections):
    """Write the page and the pictures, and print their names."""
    from . import picture, reconnects, report

    reconnects.draw()
    picture.draw([row for section in sections for row in section.rows], report.PICTURE)
    report.PAGE.write_text(report.markdown(sections, report.machine()))
    print(f"wrote {report.PAGE}, {report.PICTURE.name} and {reconnects.PICTURE.name}")
