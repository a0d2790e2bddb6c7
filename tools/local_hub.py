"""The local hub: one of a process of its own, or the one that runs already, for commands on it."""

import asyncio
import contextlib
import json
import sys

from . import PROG, command_line

_PATIENCE = 12  # seconds, until it is ready


class HubError(Exception):
    """The hub did not start; the text says why."""


@contextlib.asynccontextmanager
async def running_hub(folder):
    """A hub in a process of its own, on free ports; yields what its JSON line says. HubError."""
    ports = ("--mqtt-port", "--https-port", "--amqp-port", "--amqp-plain-port")
    process = await asyncio.create_subprocess_exec(
        *command_line("hub", "--data", folder),
        *(word for port in ports for word in (port, "0")),
        stdout=asyncio.subprocess.PIPE,
        stderr=(folder / "hub.log").open("w"),
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), _PATIENCE)
        if not line:
            log = (folder / "hub.log").read_text().strip().splitlines()
            raise HubError("the hub did not start: " + (log[-1] if log else "it said nothing"))
        yield json.loads(line)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 5)
            except asyncio.TimeoutError:
                process.kill()
                await process.wait()


def found(folder):
    """What the hub that uses `folder`, or the usual one, said when it was ready.

    FileNotFoundError: none runs.
    """
    from .hub.command import default_folder

    folder = folder or default_folder()
    try:
        return json.loads((folder / "hub.json").read_text())
    except FileNotFoundError:
        raise FileNotFoundError(f"no hub runs on {folder}: start one with {PROG} hub")


def perform(command, act, args):
    """Run the coroutine function act(service, ports, args) on the hub of `args.data`; the exit
    status. What fails is one line, which `command` begins.
    """
    from aiohttp import ClientError

    from .hub.client import ServiceError

    try:
        asyncio.run(_act(act, args))
    except (OSError, ValueError, ClientError, ServiceError) as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 1
    return 0


async def _act(act, args):
    from .hub.client import ServiceClient

    ports = found(args.data)
    async with ServiceClient(ports["service_connection_string"], ports["ca_file"]) as service:
        await act(service, ports, args)
