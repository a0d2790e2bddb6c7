"""Which node a link is for, by its address alone.

Source: spec iothub-amqp, the tables of links.
"""

import re
from urllib.parse import unquote

from ..core.errors import not_found
from ..core.events import ENTITY
from . import device, events, faults, requests, service
from .faults import LinkFault

_DEVICE = re.compile(r"/devices/([^/]+)(?:/modules/([^/]+))?/(.+)")
_PARTITION = re.compile(r"/(.+?)/consumergroups/([^/]+)/partitions/([^/]+)", re.IGNORECASE)

# What stands behind an address, where the peer is sender and where it is receiver.
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


def node_of(link, attach):
    """The Node for a link. LinkFault, HubError."""
    if link.address is None:
        raise LinkFault("amqp:not-implemented", "a link without an address")
    path = path_of(link.address)
    node = _in(_OF_HUB, path.lower(), link, attach) or _of_device(path, link, attach)
    node = node or _of_events(path, link, attach)
    if node is None:
        raise LinkFault(faults.NOT_FOUND, f"there is no {link}")
    if not node.allowed(link.connection.claims):
        raise LinkFault(faults.UNAUTHORIZED, f"Unauthorized: the claims do not cover {link}")
    if attach.role and isinstance(node, events.Redirect):
        raise node.fault()
    return node


def path_of(address):
    """The path of an address, which may be a whole URL; it begins with a slash, or with $."""
    if "://" in address:
        address = "/" + address.partition("://")[2].partition("/")[2]
    if address.startswith(("/$", "$")):
        return address.lstrip("/")
    return "/" + address.strip("/")


def _in(table, name, link, attach, *arguments):
    kinds = table.get(name)
    if kinds is None:
        return None
    kind = kinds[1 if attach.role else 0]
    return kind and kind(link, *arguments)


def _of_device(path, link, attach):
    match = _DEVICE.fullmatch(path)
    if match is None:
        return None
    device_id, module_id, rest = match[1], match[2] or "", match[3].lower()
    core = link.connection.core
    identity = core.identities.find(unquote(device_id), unquote(module_id))
    if identity is None:
        raise not_found(unquote(f"{device_id}/{module_id}" if module_id else device_id))
    node = _in(_OF_DEVICE, rest, link, attach, identity)
    if node is not None and not identity.enabled:
        raise LinkFault(faults.UNAUTHORIZED, "DeviceDisabled: the device is disabled")
    return node


def _of_events(path, link, attach):
    match = _PARTITION.fullmatch(path)
    if match is None or not attach.role:
        return None
    if match[1].lower() == "messages/events":
        return events.Redirect(link, f"{ENTITY}/ConsumerGroups/{match[2]}/Partitions/{match[3]}")
    if match[1].lower() != ENTITY:
        return None
    return events.Reader(link, match[2], match[3], attach)
