"""Run the local hub until SIGTERM or Ctrl-C.

When the hub is ready it prints one JSON line: its ports, its CA and its connection strings. If a
default port is in use, the hub picks a free port and prints it in the JSON line. The log goes to
standard error and says why a connection was refused or closed.

    {prog} hub                       the default ports, or free ones
    {prog} hub --data DIR --mqtt-port 0 --https-port 0
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

from .. import files
from ..loopback import NAME
from . import DEFAULT_PORTS

_FRONT_HELP = {
    "mqtt": "MQTT over TLS",
    "amqp": "AMQP over TLS",
    "amqp_plain": "AMQP without TLS, for Event Hubs clients",
    "https": "REST and WebSockets",
}


def arguments(parser):
    parser.add_argument(
        "--data", type=Path, default=None, help=f"folder for the hub's state ({files.state()})"
    )
    parser.add_argument(
        "--host", default=NAME, help="address to listen on (127.0.0.1 and ::1, of %(default)s)"
    )
    for name, port in DEFAULT_PORTS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}-port",
            type=_port,
            default=None,
            metavar="N",
            help=f"port for {_FRONT_HELP[name]}; 0: a free one ({port}, or a free one if in use)",
        )
    parser.add_argument("-q", "--quiet", action="store_true", help="log warnings only")


def _port(text):
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: give a number from 0 to 65535")
    return int(text)


def raise_file_limit():
    """Let this process open as many connections as the machine allows."""
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
    folder = args.data or files.state()
    ports = {name: getattr(args, f"{name}_port") for name in DEFAULT_PORTS}
    async with Hub(folder, args.host, ports) as hub:
        print(json.dumps(hub.ports), flush=True)
        await stop.wait()


def run(args):
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING if args.quiet else logging.INFO,
        format="%(asctime)s %(name)s %(message)s",
    )
    from .core.errors import StorageError

    raise_file_limit()
    try:
        asyncio.run(serve(args))
    except (OSError, StorageError) as error:
        print(f"hub: {error}", file=sys.stderr)
        return 1
    return 0
