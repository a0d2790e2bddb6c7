"""Link addresses: which node stands behind each.

A link is classified by its address alone. Source: docs/protocol/amqp.md, "Links".
"""

import re
from urllib.parse import unquote

from ..core.errors import not_found
from ..core.events import ENTITY
from . import device, events, faults, requests, service
from .faults import LinkFault

_DEVICE = re.compile(r"/devices/([^/]+)(?:/modules/([^/]+))?/(.+)")
_PARTITION = re.compile(r"/(.+?)/consumergroups/([^/]+)/partitions/([^/]+)", re.IGNORECASE)

# The node behind an address: (where the peer sends, where the peer receives).
_OF_DEVICE = {
    "messages/events": (device.Telemetry, device.Messages),
    "messages/devicebound": (None, device.Messages),
    "twin": (device.TwinRequests, device.TwinAnswers),
    "methods/devicebound": (device.MethodAnswers, device.MethodCalls),
}
_OF_HUB = {
    "$cbs": (requests.PutToken, requests.Answers),
    "$management": (requests.Management, requests.Answers),
    "/messages/devicebound": (service.SendMessage, None),
    "/messages/servicebound/feedback": (service.SettleMessage, service.ReadFeedback),
    "/messages/servicebound/filenotifications": (None, service.FileNotifications),
}


def node_of(core, connection, link, attach):
    """The Node for a link. LinkFault, HubError."""
    if link.address is None:
        raise LinkFault("amqp:not-implemented", "the hub supports no link without an address")
    path = path_of(link.address)
    kind, arguments = (
        _kind_of_hub(path, attach)
        or _kind_of_device(core, path, attach)
        or _kind_of_events(path, attach)
        or (None, ())
    )
    if kind is None:
        raise LinkFault(faults.NOT_FOUND, f"nothing is at this address for a {link}")
    node = kind(core, connection, link, *arguments)
    if not node.allowed(connection.claims):
        reason = f"Unauthorized: no token or certificate of this connection covers the {link}"
        raise LinkFault(faults.UNAUTHORIZED, reason)
    if isinstance(node, events.Redirect):
        raise node.fault()
    return node


def path_of(address):
    """The path of an address, which may be a whole URL; it begins with a slash, or with $."""
    if "://" in address:
        address = "/" + address.partition("://")[2].partition("/")[2]
    if address.startswith(("/$", "$")):
        return address.lstrip("/")
    return "/" + address.strip("/")


def _choose(kinds, attach):
    return kinds[1 if attach.role else 0]


def _kind_of_hub(path, attach):
    """(class of the node, its further arguments), or None: the address is of another kind."""
    kinds = _OF_HUB.get(path.lower())
    return kinds and (_choose(kinds, attach), ())


def _kind_of_device(core, path, attach):
    match = _DEVICE.fullmatch(path)
    if match is None:
        return None
    device_id, module_id, rest = unquote(match[1]), unquote(match[2] or ""), match[3].lower()
    identity = core.identities.find(device_id, module_id)
    if identity is None:
        raise not_found(f"{device_id}/{module_id}" if module_id else device_id)
    kinds = _OF_DEVICE.get(rest)
    kind = kinds and _choose(kinds, attach)
    if kind is None:
        return None
    if not identity.enabled:
        reason = "DeviceDisabled: the device is disabled: set its status to enabled"
        raise LinkFault(faults.UNAUTHORIZED, reason)
    return kind, (identity,)


def _kind_of_events(path, attach):
    match = _PARTITION.fullmatch(path)
    if match is None or not attach.role:
        return None
    entity, group, partition = match.groups()
    if entity.lower() == "messages/events":
        return events.Redirect, (f"{ENTITY}/ConsumerGroups/{group}/Partitions/{partition}",)
    if entity.lower() != ENTITY:
        return None
    return events.Reader, (group, partition, attach)
