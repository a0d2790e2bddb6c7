"""Nodes that read events as from an event hub: one link a partition, from where its filter says.

Source: docs/protocol/eventhubs.md, "Filters" and "Exclusive readers".
"""

import asyncio
import re

from iothub.amqp.codec import Described
from iothub.amqp.composites import Composite

from ..core.events import PARTITIONS
from . import faults, messages
from .faults import LinkFault
from .links import Node

_BATCH = 100
_WAIT = 60  # seconds before a quiet partition is read again
_FILTER = re.compile(
    r"\s*amqp\.annotation\.x-opt-(sequence-number|offset|enqueued-time)"
    r"\s*(>=|>)\s*'?(@latest|-?\d+)'?\s*"
)
_FIELDS = {"sequence-number": "sequence", "offset": "offset", "enqueued-time": "enqueued"}
_SELECTOR = "apache.org:selector-filter:string"
_EPOCH = "com.microsoft:epoch"


def selector(source):
    """(field, value or "@latest", inclusive) of a source's filter; None without one. LinkFault."""
    found = None
    for name, value in (source.filter or {}).items():
        described = value if isinstance(value, Described) else Described(name, value)
        text = described.value
        if isinstance(text, bytes):
            text = text.decode(errors="replace")
        match = isinstance(text, str) and _FILTER.fullmatch(text)
        if described.descriptor != _SELECTOR or not match:
            raise LinkFault(faults.INVALID_FIELD, f"unsupported filter: {text!r:.200}")
        number = match[3] if match[3] == "@latest" else int(match[3])
        if isinstance(number, int) and abs(number) >= 2**63:
            raise LinkFault(faults.INVALID_FIELD, "the filter's number is out of range")
        found = _FIELDS[match[1]], number, match[2] == ">="
    return found


class Redirect(Node):
    """The events at the hub's own address: a redirect to the address of the event hub."""

    def __init__(self, core, connection, link, path):
        super().__init__(core, connection, link)
        self._path = path

    def allowed(self, claims):
        return claims.may("service")

    def fault(self):
        """The LinkFault with the address in its info."""
        host, port = self.connection.hostname, self.connection.redirect_port
        info = {
            "hostname": host,
            "network-host": host,
            "port": port,
            "address": f"amqps://{host}:{port}/{self._path}",
        }
        return LinkFault(faults.REDIRECT, "the events are read at the address in info", info)


class Reader(Node):
    """One partition for one consumer group: the events after the filter's, and then new ones.

    epoch: of two readers with an epoch, the one with the higher epoch has the partition; None:
    this reader shares the partition.
    """

    def __init__(self, core, connection, link, group, partition, attach):
        super().__init__(core, connection, link)
        if not (partition.isascii() and partition.isdigit() and int(partition) < PARTITIONS):
            raise LinkFault(
                faults.NOT_FOUND, f"no partition {partition[:20]}: there are 0 to {PARTITIONS - 1}"
            )
        if not isinstance(attach.source, Composite):
            raise LinkFault(faults.INVALID_FIELD, "the attach of a reader must have a source")
        self._partition = int(partition)
        self._from = selector(attach.source)
        self._credit = asyncio.Event()
        self._group = group.lower()
        self._reading = None
        self._idle = False  # it waits for events, not for credit
        self.epoch = (attach.properties or {}).get(_EPOCH)

    def allowed(self, claims):
        return claims.may("service")

    def opened(self):
        readers = self.core.events.readers
        if self.epoch is not None and not readers.claim(self._group, self._partition, self):
            return
        readers.add(self)
        self._reading = asyncio.create_task(self._read())

    def close(self, reason):
        """Close the link: another reader has the partition."""
        self.link.close(LinkFault(faults.STOLEN, reason))

    def abort(self):
        """Cut the connection as a broken network does."""
        self.connection.abort("cut on request")

    def closed(self):
        if self._reading is not None:
            self._reading.cancel()
        self.core.events.readers.remove(self)

    def pull(self):
        self._credit.set()
        if self._idle:
            self.link.finish_drain()

    async def _read(self):
        events = self.core.events
        after = await self._start(events)
        while True:
            while self.link.credit <= 0 or self.link.blocked:
                self._credit.clear()
                await self._credit.wait()
            found = await events.read(self._partition, after, min(self.link.credit, _BATCH))
            for event in found:
                self.link.send(messages.of_event(event), settled=True)
                after = event["sequenceNumber"]
            try:
                await self.connection.drain()
            except (OSError, asyncio.TimeoutError):
                self.connection.abort("the reader does not take the events that are sent to it")
                return
            if not found:
                self._idle = True
                self.link.finish_drain()
                await events.wait_for_more(self._partition, after, _WAIT)
                self._idle = False

    async def _start(self, events):
        """The sequence number after which reading starts."""
        if self._from is None:
            return -1
        field, value, inclusive = self._from
        if value == "@latest":
            return events.last(self._partition)
        return await events.before(self._partition, field, value, inclusive)
