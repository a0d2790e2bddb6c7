"""Create enrollments in the local hub's device provisioning service (DPS).

The hub must be running ({prog} hub), with the same --data.

    {prog} enrollment create my-board             one device, with a key
    {prog} enrollment create my-boards --group    a group, whose key the devices' keys derive from
    {prog} enrollment create my-board --certificate board.pem
    {prog} enrollment create my-boards --group --certificate ca.pem
    {prog} enrollment show my-boards --group
    {prog} enrollment list

create and show print one JSON object, with what a device needs to register.
"""

import json
import sys
from pathlib import Path

from .hub import host_name
from .local_hub import perform


def arguments(parser):
    parser.add_argument("action", choices=("create", "list", "show", "delete"))
    parser.add_argument(
        "name", nargs="?", metavar="ID", help="the registration ID, or the name of the group"
    )
    parser.add_argument("--group", action="store_true", help="an enrollment group")
    parser.add_argument(
        "--certificate",
        type=Path,
        metavar="FILE",
        help="the device's certificate, or the group's CA, in PEM",
    )
    parser.add_argument("--data", type=Path, default=None, help="the hub's data folder")


def attestation(certificate, group):
    """The attestation of an enrollment, as in the REST API of DPS. certificate: PEM, or None."""
    if certificate is None:
        return {"type": "symmetricKey"}
    which = "signingCertificates" if group else "clientCertificates"
    return {"type": "x509", "x509": {which: {"primary": {"certificate": certificate}}}}


def settings_of(enrollment, hub):
    """What a device needs to register, as a dict, from an enrollment and the hub's JSON line."""
    host = host_name("mqtt", hub["mqtt_port"])
    found = {"provisioning_host": host, "id_scope": hub["id_scope"]}
    keys = enrollment["attestation"].get("symmetricKey") or {}
    if "registrationId" in enrollment:
        found["registration_id"] = enrollment["registrationId"]
        found["symmetric_key"] = keys.get("primaryKey")
    else:
        found["group_key"] = keys.get("primaryKey")
    return {name: value for name, value in found.items() if value}


async def act(service, hub, args):
    if args.action == "list":
        for group, key in ((False, "registrationId"), (True, "enrollmentGroupId")):
            for one in await service.enrollments.list(group):
                kind = "group" if group else "device"
                print(one[key], kind, one["attestation"]["type"], one["provisioningStatus"])
    elif args.action == "create":
        certificate = args.certificate.read_text() if args.certificate else None
        how = attestation(certificate, args.group)
        made = await service.enrollments.create(args.name, args.group, attestation=how)
        print(json.dumps(settings_of(made, hub)))
    elif args.action == "show":
        print(json.dumps(settings_of(await service.enrollments.get(args.name, args.group), hub)))
    else:
        await service.enrollments.delete(args.name, args.group)


def run(args):
    if args.action != "list" and not args.name:
        print(
            f"enrollment: {args.action} needs the ID of a registration or a group", file=sys.stderr
        )
        return 2
    return perform("enrollment", act, args)
