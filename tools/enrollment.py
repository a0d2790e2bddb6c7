"""Enroll devices with the local hub's provisioning service (DPS).

The hub must be running (python -m tools hub), with the same --data. create and show print the
settings that a device needs to register, as one JSON object.

    python -m tools enrollment create my-board             makes a key for one device
    python -m tools enrollment create my-boards --group    makes a key for a group: the key of each
                                                           device is derived from it
    python -m tools enrollment create my-board --certificate board.pem
    python -m tools enrollment create my-boards --group --certificate ca.pem
    python -m tools enrollment show my-boards --group
    python -m tools enrollment list
"""

import json
import sys
from pathlib import Path

from .hub import host_name
from .local_hub import perform

COMMAND_HELP = "create, list, show or delete enrollments of the local provisioning service"


def arguments(parser):
    parser.add_argument("action", choices=("create", "list", "show", "delete"))
    parser.add_argument(
        "name", nargs="?", metavar="ID", help="registration id of a device, or id of a group"
    )
    parser.add_argument(
        "--group", action="store_true", help="an enrollment group of several devices"
    )
    parser.add_argument(
        "--certificate",
        type=Path,
        metavar="FILE",
        help="the device's certificate, or the group's CA, in PEM form",
    )
    parser.add_argument("--data", type=Path, default=None, help="the hub's data folder")


def attestation(certificate, group):
    """The `attestation` for DPS's REST API. certificate: in PEM form, or None for a key."""
    if certificate is None:
        return {"type": "symmetricKey"}
    which = "signingCertificates" if group else "clientCertificates"
    return {"type": "x509", "x509": {which: {"primary": {"certificate": certificate}}}}


def settings_of(enrollment, ports):
    """The settings that a device needs to register, as a dict."""
    host = host_name("mqtt", ports["mqtt_port"])
    found = {"provisioning_host": host, "id_scope": ports["id_scope"]}
    keys = enrollment["attestation"].get("symmetricKey") or {}
    if "registrationId" in enrollment:
        found["registration_id"] = enrollment["registrationId"]
        found["symmetric_key"] = keys.get("primaryKey")
    else:
        found["group_key"] = keys.get("primaryKey")
    return {name: value for name, value in found.items() if value}


async def act(service, ports, args):
    if args.action == "list":
        for group, key in ((False, "registrationId"), (True, "enrollmentGroupId")):
            for one in await service.list_enrollments(group):
                kind = "group" if group else "device"
                print(one[key], kind, one["attestation"]["type"], one["provisioningStatus"])
    elif args.action == "create":
        certificate = args.certificate.read_text() if args.certificate else None
        how = attestation(certificate, args.group)
        made = await service.enroll(args.name, args.group, attestation=how)
        print(json.dumps(settings_of(made, ports)))
    elif args.action == "show":
        print(json.dumps(settings_of(await service.get_enrollment(args.name, args.group), ports)))
    else:
        await service.delete_enrollment(args.name, args.group)


def run(args):
    if args.action != "list" and not args.name:
        print(
            f"enrollment: {args.action} needs the ID of a registration or a group", file=sys.stderr
        )
        return 2
    return perform("enrollment", act, args)
