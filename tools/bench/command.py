"""Measure, ours beside others' in one run; needs mosquitto for the comparison (Debian's package).

python -m tools bench                    all of it
python -m tools bench --seconds 1        shorter measurements
"""

import asyncio
import statistics
import tempfile
from pathlib import Path

COMMAND_HELP = "measure the local hub under load, beside mosquitto"


def arguments(parser):
    parser.add_argument(
        "--devices", type=int, default=1000, help="connected at once (%(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=3, help="a measurement (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each, in turn (%(default)s)")


async def measure(args):
    """{what: {target: [measured, …]}}"""
    from . import brokers, load

    found = {}
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        async with (
            brokers.hub(Path(one), args.devices) as hub,
            brokers.mosquitto(Path(other), args.devices) as mosquitto,
        ):
            targets = [target for target in (hub, mosquitto) if target]
            for _ in range(args.rounds):
                for count in (1, 100):
                    what = f"QoS 1 messages a second, {count} device{'s' if count > 1 else ''}"
                    for target in targets:
                        value = await load.rate(target, count, args.seconds)
                        found.setdefault(what, {}).setdefault(target.name, []).append(value)
            what = f"TLS devices connected a second, {args.devices} at once"
            for target in targets:
                value = args.devices / await load.crowd(target, args.devices)
                found.setdefault(what, {}).setdefault(target.name, []).append(value)
    return found


def show(found):
    """Print medians, and ours as a part of the other's."""
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "local hub, durable", "mosquitto", "ratio")
    for what, targets in found.items():
        medians = [statistics.median(values) for values in targets.values()]
        texts = [f"{value:,.0f}" for value in medians]
        ratio = f"{medians[0] / medians[1]:.2f}" if len(medians) > 1 else "-"
        table.add_row(what, *(texts if len(texts) > 1 else [*texts, "-"]), ratio)
    Console().print(table)


def run(args):
    from tools.hub.command import raise_file_limit

    raise_file_limit()
    show(asyncio.run(measure(args)))
    return 0
