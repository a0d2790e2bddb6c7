"""Run the local hub until SIGTERM or Ctrl-C.

When it is ready, one JSON line is printed: its ports, its CA and its connection strings. The log
goes to standard error and says why a connection was refused or closed.

    {prog} hub                       the usual ports, where they may be had
    {prog} hub --data DIR --mqtt-port 0 --https-port 0
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path

from . import USUAL


def default_folder():
    """Where the hub keeps its state unless told otherwise."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "esp32-iothub"


def arguments(parser):
    parser.add_argument("--data", type=Path, default=None, help=f"({default_folder()})")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    for name, port in USUAL.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}-port",
            type=_port,
            default=None,
            metavar="N",
            help=f"0: any free port ({port}, else a free one)",
        )
    parser.add_argument("-q", "--quiet", action="store_true", help="log warnings only")


def _port(text):
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port: 0 to 65535")
    return int(text)


def raise_file_limit():
    """Let this process have as many connections as the machine allows."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def serve(args):
    from .app import Hub

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    folder = args.data or default_folder()
    ports = {name: getattr(args, f"{name}_port") for name in USUAL}
    async with Hub(folder, args.host, ports) as hub:
        print(json.dumps(hub.ports), flush=True)
        await stop.wait()


def run(args):
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING if args.quiet else logging.INFO,
        format="%(asctime)s %(name)s %(message)s",
    )
    raise_file_limit()
    try:
        asyncio.run(serve(args))
    except OSError as error:
        print(f"hub: {error}", file=sys.stderr)
        return 1
    return 0
