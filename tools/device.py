"""Register devices with the local hub, and print their connection strings.

The hub must be running ({prog} hub), with the same --data.

    {prog} device create my-board     prints the connection string, and nothing else
    {prog} device create my-board --certificate board.pem
                                               known by the thumbprint of its certificate
    {prog} device trust ca.pem        an authority, for the devices made with --signed
    {prog} device create my-board --signed
    {prog} device create my-board --module camera
    {prog} device show my-board --for amqp
    {prog} device list
"""

import sys
from pathlib import Path

from .hub import USUAL
from .local_hub import perform

FRONTS = {"mqtt": "mqtt", "amqp": "amqp", "websockets": "https"}


def arguments(parser):
    parser.add_argument("action", choices=("create", "list", "show", "delete", "trust"))
    parser.add_argument("device", nargs="?", metavar="ID or FILE")
    parser.add_argument("--module", metavar="ID", help="create or show this module of the device")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--certificate", type=Path, metavar="FILE", help="the device's, in PEM")
    kind.add_argument("--signed", action="store_true", help="by an authority that is trusted")
    parser.add_argument(
        "--for",
        dest="front",
        choices=FRONTS,
        default="mqtt",
        help="whose port the connection string names, where it is not the usual one (%(default)s)",
    )
    parser.add_argument("--data", type=Path, default=None, help="the hub's data folder")


def connection_string(device, ports, front="mqtt"):
    """The connection string of a device's or module's REST record, for one of FRONTS."""
    name = FRONTS[front]
    port = ports[f"{name}_port"]
    host = "localhost" if port == USUAL[name] else f"localhost:{port}"
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
    """How the new device authenticates, as the REST API says it. ValueError: a bad certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    if args.signed:
        return {"type": "certificateAuthority"}
    if args.certificate is None:
        return {"type": "sas"}
    try:
        certificate = x509.load_pem_x509_certificate(args.certificate.read_bytes())
    except ValueError:
        raise ValueError(f"{args.certificate} is no certificate in PEM") from None
    thumbprint = certificate.fingerprint(hashes.SHA1()).hex().upper()
    return {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": thumbprint}}


async def create(service, args):
    """The new identity's record; a module's device is made first, if there is none."""
    from iothub.errors import ServiceError

    if not args.module:
        return await service.create_device(args.device, authentication=authentication(args))
    try:
        await service.get_device(args.device)
    except ServiceError:
        await service.create_device(args.device)
    return await service.create_module(args.device, args.module)


def _named(path):
    """(name, PEM) of an authority's file."""
    return path.stem, path.read_text()


async def act(service, ports, args):
    if args.action == "list":
        for device in await service.list_devices():
            print(device["deviceId"], device["status"], device["connectionState"])
    elif args.action == "create":
        print(connection_string(await create(service, args), ports, args.front))
    elif args.action == "trust":
        await service.local.add_authority(*_named(Path(args.device)))
    elif args.action == "show" and args.module:
        found = await service.get_module(args.device, args.module)
        print(connection_string(found, ports, args.front))
    elif args.action == "show":
        print(connection_string(await service.get_device(args.device), ports, args.front))
    else:
        await service.delete_device(args.device)


def run(args):
    if args.action != "list" and not args.device:
        print(f"device: {args.action} needs an ID, or a FILE", file=sys.stderr)
        return 2
    return perform("device", act, args)
