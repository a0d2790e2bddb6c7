"""Register devices with the local hub, and print their connection strings.

The hub must be running (python -m tools hub), with the same --data.

    python -m tools device create my-board     prints the connection string, and nothing else
    python -m tools device list
"""

import asyncio
import json
import sys
from pathlib import Path

COMMAND_HELP = "create, list, show or delete devices of the local hub"


def arguments(parser):
    parser.add_argument("action", choices=("create", "list", "show", "delete"))
    parser.add_argument("device", nargs="?", metavar="ID")
    parser.add_argument("--data", type=Path, default=None, help="the hub's data folder")


def connection_string(device, ports):
    """The connection string of a device's REST record."""
    port = ports["mqtt_port"]
    host = "localhost" if port == 8883 else f"localhost:{port}"
    key = device["authentication"]["symmetricKey"]["primaryKey"]
    return f"HostName={host};DeviceId={device['deviceId']};SharedAccessKey={key}"


def running_hub(folder):
    """What the hub that uses `folder` said when it was ready; FileNotFoundError: none runs."""
    try:
        return json.loads((folder / "hub.json").read_text())
    except FileNotFoundError:
        raise FileNotFoundError(f"no hub runs on {folder}: start one with python -m tools hub")


async def act(args):
    from tools.hub.client import ServiceClient
    from tools.hub.command import default_folder

    ports = running_hub(args.data or default_folder())
    async with ServiceClient(ports["service_connection_string"], ports["ca_file"]) as service:
        if args.action == "list":
            for device in await service.list_devices():
                print(device["deviceId"], device["status"], device["connectionState"])
        elif args.action == "create":
            print(connection_string(await service.create_device(args.device), ports))
        elif args.action == "show":
            print(connection_string(await service.get_device(args.device), ports))
        else:
            await service.delete_device(args.device)


def run(args):
    from aiohttp import ClientError

    from tools.hub.client import ServiceError

    if args.action != "list" and not args.device:
        print(f"device: {args.action} needs an ID", file=sys.stderr)
        return 2
    try:
        asyncio.run(act(args))
    except (OSError, ClientError, ServiceError) as error:
        print(f"device: {error}", file=sys.stderr)
        return 1
    return 0
