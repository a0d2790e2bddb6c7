"""Register devices with the local hub, and print their connection strings.

The hub must be running (python -m tools hub), with the same --data.

    python -m tools device create my-board     prints the connection string, and nothing else
    python -m tools device create my-board --certificate board.pem
                                               registers the thumbprint of its certificate
    python -m tools device trust ca.pem        registers a CA, for devices created with --signed
    python -m tools device create my-board --signed
    python -m tools device create my-board --module camera
    python -m tools device show my-board --for amqp
    python -m tools device list
"""

import sys
from pathlib import Path

from .hub import host_name
from .local_hub import perform

FRONTS = {"mqtt": "mqtt", "amqp": "amqp", "websockets": "https"}
COMMAND_HELP = "create, list, show or delete devices of the local hub"


def arguments(parser):
    parser.add_argument("action", choices=("create", "list", "show", "delete", "trust"))
    parser.add_argument(
        "device",
        nargs="?",
        metavar="ID or FILE",
        help="a device id; FILE: a CA in PEM form, for trust",
    )
    parser.add_argument("--module", metavar="ID", help="create or show this module of the device")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--certificate", type=Path, metavar="FILE", help="the device's certificate, in PEM form"
    )
    kind.add_argument(
        "--signed", action="store_true", help="a CA of `device trust` has signed its certificate"
    )
    parser.add_argument(
        "--for",
        dest="front",
        choices=FRONTS,
        default="mqtt",
        help="protocol whose port the connection string names, unless it is the default port "
        "(%(default)s)",
    )
    parser.add_argument("--data", type=Path, default=None, help="the hub's data folder")


def connection_string(device, ports, front="mqtt"):
    """The connection string of a device or module. device: its REST record; front: of FRONTS."""
    name = FRONTS[front]
    host = host_name(name, ports[f"{name}_port"])
    parts = [f"HostName={host}", f"DeviceId={device['deviceId']}"]
    if device.get("moduleId"):
        parts.append(f"ModuleId={device['moduleId']}")
    authentication = device["authentication"]
    if authentication["type"] == "sas":
        parts.append(f"SharedAccessKey={authentication['symmetricKey']['primaryKey']}")
    else:
        parts.append("x509=true")
    return ";".join(parts)


def authentication(args):
    """The new device's `authentication` for the REST API. ValueError: not a certificate."""
    from .hub.core import x509
    from .hub.core.errors import HubError

    if args.signed:
        return {"type": "certificateAuthority"}
    if args.certificate is None:
        return {"type": "sas"}
    try:
        thumbprint = x509.thumbprint(args.certificate.read_text())
    except (HubError, ValueError):
        raise ValueError(f"{args.certificate} is not a certificate in PEM form") from None
    return {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": thumbprint}}


async def create(service, args):
    """Create a device or module; returns its record. A module's device is created if missing."""
    from .hub.client import ServiceError

    if not args.module:
        return await service.create_device(args.device, authentication=authentication(args))
    try:
        await service.get_device(args.device)
    except ServiceError:
        await service.create_device(args.device)
    return await service.create_module(args.device, args.module)


def _named(path):
    """(name, PEM text) of a CA's file."""
    return path.stem, path.read_text()


async def act(service, ports, args):
    if args.action == "list":
        for device in await service.list_devices():
            print(device["deviceId"], device["status"], device["connectionState"])
    elif args.action == "create":
        print(connection_string(await create(service, args), ports, args.front))
    elif args.action == "trust":
        await service.add_authority(*_named(Path(args.device)))
    elif args.action == "show" and args.module:
        found = await service.get_module(args.device, args.module)
        print(connection_string(found, ports, args.front))
    elif args.action == "show":
        print(connection_string(await service.get_device(args.device), ports, args.front))
    else:
        await service.delete_device(args.device)


def run(args):
    if args.action != "list" and not args.device:
        what = "the FILE of a CA" if args.action == "trust" else "a device ID"
        print(f"device: {args.action} needs {what}", file=sys.stderr)
        return 2
    return perform("device", act, args)
