"""The local hub for other commands: a new one in a process of its own, or the one that runs."""

import asyncio
import contextlib
import json
import sys

from . import PROG, command_line, files, processes

_PATIENCE = 12  # seconds, until it is ready
_PORTS = ("mqtt_port", "https_port", "amqp_port", "amqp_plain_port")
_OPTIONS = ["--" + name.replace("_", "-") for name in _PORTS]


class HubError(Exception):
    """The hub did not start; the text says why."""


class RunningHub(dict):
    """The hub's JSON line as a dict; process: its Process."""

    def __init__(self, line, process):
        super().__init__(json.loads(line))
        self.process = process


@contextlib.asynccontextmanager
async def running_hub(folder, before=None):
    """Run a hub on free ports, with its state in `folder`; yields a RunningHub. HubError.

    before: the RunningHub whose place it takes, on the same ports.
    """
    path = folder / "hub.log"
    ports = [before[name] if before else 0 for name in _PORTS]
    ports = [word for pair in zip(_OPTIONS, map(str, ports), strict=True) for word in pair]
    command = command_line("hub", "--data", folder, *ports)
    with path.open("a") as log:
        running = processes.running(command, log=log, patience=_PATIENCE, terminate=True)
        async with running as process:
            try:
                line = await process.line()
            except processes.ProcessError:
                said = path.read_text().strip().splitlines()
                reason = said[-1] if said else "it said nothing"
                raise HubError(f"the hub did not start: {reason}") from None
            yield RunningHub(line, process)


def found(folder):
    """The JSON line, as a dict, of the running hub that uses `folder` (None: the default folder).

    FileNotFoundError: none is running.
    """
    folder = folder or files.state()
    try:
        return json.loads((folder / "hub.json").read_text())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no hub is running with the data folder {folder}: start one with {PROG} hub"
        )


def perform(command, act, args):
    """Run the coroutine function act(service, hub, args) on the hub of args.data: the exit status.

    service: a ServiceClient. hub: the hub's JSON line, as a dict. An error is one line, which
    begins with `command`.
    """
    from aiohttp import ClientError

    from iothub.errors import RefusedError

    try:
        asyncio.run(_act(act, args))
    except (OSError, ValueError, ClientError, RefusedError) as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 1
    return 0


async def _act(act, args):
    from .service.client import ServiceClient

    hub = found(args.data)
    async with ServiceClient.create_for_local_hub(hub) as service:
        await act(service, hub, args)
