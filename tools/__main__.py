"""Tools for MicroPython devices of Azure IoT Hub: one command for everything on the host."""

import argparse
import importlib
import sys

from . import PROG

# Each command is a module with arguments(parser) and run(args) -> exit status. It is imported when
# the command is chosen, so that its line of help stands here.
COMMANDS = {
    "demo": (".demo", "run a virtual board against a local hub, and show what they exchange"),
    "hub": (".hub.command", "run a local IoT Hub"),
    "device": (".device", "create, list, show or delete devices of the local hub"),
    "enrollment": (".enrollment", "create, list, show or delete enrollments of the local DPS"),
    "service": (
        ".service.command",
        "send C2D messages, read telemetry and feedback, use twins, methods and queries",
    ),
    "board": (".board.command", "run a virtual ESP32: the real MicroPython on a pseudo-terminal"),
    "deploy": (".deploy.command", "copy the firmware to a board, or update it"),
    "doctor": (".doctor", "find out why a board does not reach its hub"),
    "sas": (".sas", "print a SAS token for a connection string"),
    "umqtt": (".umqtt", "download umqtt.simple for this machine"),
    "bench": (".bench.command", "run the benchmarks"),
}


def main(argv=None):
    """Run one command; return its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog=PROG, description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, (path, line) in COMMANDS.items():
        sub = commands.add_parser(
            name, help=line, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if argv[:1] == [name]:
            module = importlib.import_module(path, __package__)
            sub.description = module.__doc__.replace("{prog}", PROG)
            module.arguments(sub)
            sub.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
