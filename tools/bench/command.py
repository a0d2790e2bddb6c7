"""Measure, ours beside others' in one run: the device client beside other MQTT clients, all in
MicroPython; the local hub under load beside mosquitto (Debian's package); AMQP's codec beside
uamqp's and azure-eventhub's; and what the heap of a board holds.

python -m tools bench                    all of it
python -m tools bench --seconds 1        shorter measurements
python -m tools bench --ram              what each feature costs of a board's heap, alone
python -m tools bench --telemetry        the device client beside others, alone
python -m tools bench --reconnects       how a fleet returns to its hub, drawn
"""

import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

COMMAND_HELP = "measure the device client, the hub, the AMQP codec and the heap of a board"


def arguments(parser):
    parser.add_argument(
        "--devices", type=int, default=1000, help="connected at once (%(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=3, help="a measurement (%(default)s)")
    parser.add_argument("--ram", action="store_true", help="only the heap of a board")
    parser.add_argument("--telemetry", action="store_true", help="only the device client")
    parser.add_argument("--reconnects", action="store_true", help="only docs/reconnects.png")
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
    """Print a table for each set of peers: medians, and the first one's ratio to each other."""
    from rich.console import Console
    from rich.table import Table

    tables = {}
    for what, targets in found.items():
        table = tables.get(tuple(targets))
        if table is None:
            ratios = [f"ours / {name}" for name in list(targets)[1:]]
            table = tables[tuple(targets)] = Table("what", *targets, *ratios)
        medians = [statistics.median(values) for values in targets.values()]
        ratios = [f"{medians[0] / other:.2f}" for other in medians[1:]]
        table.add_row(what, *(f"{value:,.0f}" for value in medians), *ratios)
    for table in tables.values():
        Console().print(table)


def run(args):
    from tools.hub.command import raise_file_limit

    from . import codec, ram, reconnects, telemetry

    if args.reconnects:
        reconnects.show()
        return 0
    if not args.ram:
        try:
            telemetry.show(asyncio.run(telemetry.compare(args.rounds)))
        except (OSError, telemetry.ClientError) as error:
            print(error, file=sys.stderr)
            return 1
    if args.telemetry:
        return 0
    ram.show(asyncio.run(ram.measure()))
    if args.ram:
        return 0
    raise_file_limit()
    found = asyncio.run(measure(args))
    found.update(codec.measure(args.seconds / 6, args.rounds))
    show(found)
    return 0
