"""Shows rows as tables: on the terminal, and in docs/performance.md with the machine's data."""

import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from .. import umqtt
from ..files import ROOT
from ..interpreter import interpreter
from . import brokers, peers
from .rows import OURS

PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.png"
SOURCE = "../tools/bench"
INSTALLED = ("azure-iot-device", "azure-eventhub", "uamqp")
LINE = "| {} |".format
BRACKETS = "in brackets: ours ÷ it"
LIMITS = (
    "KiB of heap are those of the build whose word size stands beside them. Those of another one "
    "cannot be computed from them: objects of a 32-bit build are half as large as those of a "
    "64-bit build, bytecode is as long. [Memory](memory.md) has figures of both"
)
VERSION = """
import sys
version = ".".join([str(part) for part in sys.implementation[1] if part != ""])
print("MicroPython", version, "with", "64" if sys.maxsize > 1 << 32 else "32", "bits")
"""


class Section(NamedTuple):
    """The result of one measurement: its name, how it is measured in a sentence, its Rows."""

    name: str
    how: str
    rows: list


def number(value):
    """`value` as text, with its significant digits."""
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2
    text = f"{value:,.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def goal_text(goal):
    text = f"{'≥' if goal.at_least else '≤'} {goal.bound:,.4g}"
    return f"{text} × {goal.against}" if goal.against else text


def compared(row, name):
    """The median of `name` as text; for peers with the ratio ours / peer."""
    if not row.values.get(name):
        return ""
    median = row.median(name)
    if name.startswith(OURS) or not median:
        return number(median)
    return f"{number(median)} ({number(row.median() / median)})"


def cells(row, names):
    """A row's texts: what, unit, the median of each of `names`, goals and whether reached."""
    goals = [
        f"{goal_text(goal)}: {'yes' if goal.reached(value) else 'no'}{_spread(row, goal)}"
        for goal, value in row.judged()
    ]
    return [row.what, row.unit, *(compared(row, name) for name in names), goals]


def table(rows):
    """(titles, [the texts of a row, …]); without the goal column where no row has a goal."""
    names = list(dict.fromkeys([OURS, *(name for row in rows for name in row.values)]))
    titles = ["what", "unit", *names, "goal: reached"]
    lines = [cells(row, names) for row in rows]
    if not any(line[-1] for line in lines):
        titles, lines = titles[:-1], [line[:-1] for line in lines]
    return titles, lines


def show(section):
    """Print a section's table."""
    from rich.console import Console
    from rich.table import Table

    titles, lines = table(section.rows)
    shown = Table(*titles, title=section.name, title_justify="left", caption=BRACKETS)
    for texts in lines:
        shown.add_row(*_joined(texts, "\n"))
    Console(width=None if sys.stdout.isatty() else 120).print(shown)


def _joined(texts, by):
    return [text if isinstance(text, str) else by.join(text) for text in texts]


def markdown(sections, machine):
    """The page, from Sections and from the machine's lines."""
    parts = [
        "# Performance",
        "Medians of what `make bench` measured, ours and others' in turn, in the same "
        "MicroPython where they are clients of a board; in brackets ours ÷ it, and beside a goal "
        "how that moved from round to round. "
        "`make bench ARGS=--write` writes all of this page. What is timed moves from run to run "
        "and with the machine: the ratios are the point.",
        "\n".join(f"- {line}" for line in machine),
        "![Telemetry by messages in flight; what of a window is reached over long round trips]"
        f"({PICTURE.name})",
        *(part for section in sections for part in _section(section)),
        "## What was not reached, and why",
        "\n".join([*_missed(sections), f"- {LIMITS}."]),
    ]
    return "\n\n".join(parts) + "\n"


def _section(section):
    titles, lines = table(section.rows)
    texts = [LINE(" | ".join(titles)), LINE(" | ".join(["---"] * len(titles)))]
    texts += [LINE(" | ".join(_joined(line, "<br>"))) for line in lines]
    noted = {}
    for row in section.rows:
        if row.note:
            noted.setdefault(row.note, []).append(row.what)
    notes = [f"- {_about(subjects, section.rows)}{note}." for note, subjects in noted.items()]
    title = section.name.replace("_", " ").capitalize()
    parts = [f"## {title}", f"{section.how} ([source]({SOURCE}/{section.name}.py))"]
    return [*parts, "\n".join(texts), *(["\n".join(notes)] if notes else [])]


def _about(subjects, rows):
    """The rows that a note is about, unless these are all."""
    return "" if len(subjects) == len(rows) else "; ".join(subjects) + ": "


def miss_text(row, goal, value):
    """One line on a missed goal."""
    unit = "" if goal.against else f" {row.unit}"
    return f"{row.what}: {number(value)}{unit}, not {goal_text(goal)}{_spread(row, goal)}"


def _spread(row, goal):
    """The lowest and the highest ratio of the rounds, as text; "" for a single round."""
    if goal.against is None or len(row.values[OURS]) < 2:
        return ""
    pairs = zip(row.values[OURS], row.values[goal.against], strict=False)
    ratios = [one / other for one, other in pairs]
    return f" ({number(min(ratios))} to {number(max(ratios))})"


def _missed(sections):
    """A line for each row that misses goals, with the reason."""
    lines = []
    for row in (row for section in sections for row in section.rows):
        judged = list(row.judged())
        texts = [miss_text(row, *one) for one in judged if not one[0].reached(one[1])]
        if texts:
            lines.append(f"- {'; '.join(texts)}{': ' if row.note else ''}{row.note}.")
    return lines


def machine():
    """Lines that describe the machine in general terms, without names or paths."""
    system = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    name = system.get("PRETTY_NAME", platform.system())
    versions = {"umqtt.simple": umqtt.VERSION, **peers.PEERS}
    if os.environ.get("UMQTT"):
        versions["umqtt.simple"] = "of the folder that UMQTT names"
    for package in INSTALLED:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    micropython = _first_line([interpreter(), "-c", VERSION])
    broker = _first_line([brokers.mosquitto_binary(), "-h"])
    return [
        f"{_processor()}, {os.cpu_count()} cores, {platform.machine()}; {name}",
        f"CPython {platform.python_version()}; {micropython}; {broker or 'no mosquitto'}",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]


def _processor():
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found.group(1) if found else platform.processor() or "a processor without a name"


def _first_line(command):
    """The first line that `command` prints; "" when the command is None."""
    if command[0] is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    return (done.stdout or done.stderr).partition("\n")[0].strip()
