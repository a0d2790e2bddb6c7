"""Create devices in the local hub, and print their connection strings.

The hub must be running ({prog} hub), with the same --data.

    {prog} device create my-board
    {prog} device create my-board --module camera
    {prog} device create my-board --certificate board.pem
    {prog} device trust ca.pem
    {prog} device create my-board --signed
    {prog} device show my-board --for amqp
    {prog} device list

create and show print the connection string and nothing else. --certificate registers the
thumbprint of the device's certificate. --signed is for a device whose certificate is signed by a
CA; trust registers that CA.
"""

import sys
from pathlib import Path

from .hub import host_name
from .local_hub import perform

FRONTS = {"mqtt": "mqtt", "amqp": "amqp", "websockets": "https"}


def arguments(parser):
    parser.add_argument("action", choices=("create", "list", "show", "delete", "trust"))
    parser.add_argument(
        "device", nargs="?", metavar="ID or FILE", help="the device, or for trust the CA in PEM"
    )
    parser.add_argument("--module", metavar="ID", help="create or show this module of the device")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--certificate", type=Path, metavar="FILE", help="the device's certificate, in PEM"
    )
    kind.add_argument(
        "--signed", action="store_true", help="its certificate is signed by a trusted CA"
    )
    parser.add_argument(
        "--for",
        dest="front",
        choices=FRONTS,
        default="mqtt",
        help="the protocol whose port is in the connection string, if it is not the usual port "
        "(default: %(default)s)",
    )
    parser.add_argument("--data", type=Path, default=None, help="the hub's data folder")


def connection_string(device, hub, front="mqtt"):
    """The connection string for a device's or module's identity, as REST gives it.

    hub: the hub's JSON line, as a dict. front: one of FRONTS.
    """
    name = FRONTS[front]
    host = host_name(name, hub[f"{name}_port"])
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
    """The new device's authentication, as in the REST API. ValueError: a wrong certificate."""
    from .hub.core import x509
    from .hub.core.errors import HubError

    if args.signed:
        return {"type": "certificateAuthority"}
    if args.certificate is None:
        return {"type": "sas"}
    try:
        thumbprint = x509.thumbprint(args.certificate.read_text())
    except (HubError, ValueError):
        raise ValueError(f"{args.certificate} is not a certificate in PEM") from None
    return {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": thumbprint}}


async def create(service, args):
    """Create a device or a module: its identity. The device of a module is created if need be."""
    from iothub.errors import ServiceError

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


async def act(service, hub, args):
    if args.action == "list":
        for device in await service.list_devices():
            print(device["deviceId"], device["status"], device["connectionState"])
    elif args.action == "create":
        print(connection_string(await create(service, args), hub, args.front))
    elif args.action == "trust":
        await service.local.add_authority(*_named(Path(args.device)))
    elif args.action == "show" and args.module:
        found = await service.get_module(args.device, args.module)
        print(connection_string(found, hub, args.front))
    elif args.action == "show":
        print(connection_string(await service.get_device(args.device), hub, args.front))
    else:
        await service.delete_device(args.device)


def run(args):
    if args.action != "list" and not args.device:
        what = "the FILE of a CA" if args.action == "trust" else "a device ID"
        print(f"device: {args.action} needs {what}", file=sys.stderr)
        return 2
    return perform("device", act, args)
