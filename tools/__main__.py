"""One command for everything on the host: python -m tools <command>."""

import argparse
import importlib
import sys

# Each command is a module with COMMAND_HELP, arguments(parser) and run(args) -> exit status.
COMMANDS = {
    "hub": ".hub.command",
    "device": ".device",
    "enrollment": ".enrollment",
    "service": ".service",
    "board": ".board.command",
    "deploy": ".deploy.command",
    "doctor": ".doctor",
    "demo": ".demo",
    "sas": ".sas",
    "umqtt": ".umqtt",
    "bench": ".bench.command",
}


def main(argv=None):
    """Run one command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, path in COMMANDS.items():
        module = importlib.import_module(path, __package__)
        sub = commands.add_parser(
            name,
            help=module.COMMAND_HELP,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.arguments(sub)
        sub.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
