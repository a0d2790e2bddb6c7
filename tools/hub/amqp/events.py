"""The events, read as from an event hub: one link a partition, from where its filter says.

Source: spec iothub-amqp, "Service links"; sdk-expectations, azure-eventhub.
"""

import asyncio
import logging
import re

from iothub.amqp.codec import Described
from iothub.amqp.composites import Composite

from ..core.events import PARTITIONS
from . import faults, messages
from .faults import LinkFault
from .links import Node

log = logging.getLogger("hub.amqp")

_BATCH = 100
_LOOK = 60  # seconds between looks at a quiet partition, should a call be missed
_FILTER = re.compile(
    r"\s*amqp\.annotation\.x-opt-(sequence-number|offset|enqueued-time)"
    r"\s*(>=|>)\s*'?(@latest|-?\d+)'?\s*"
)
_FIELDS = {"sequence-number": "sequence", "offset": "offset", "enqueued-time": "enqueued"}
_SELECTOR = "apache.org:selector-filter:string"
_EPOCH = "com.microsoft:epoch"


def selector(source):
    """(field, value or "@latest", inclusive) of a source's filter, or None. LinkFault."""
    found = None
    for name, value in (source.filter or {}).items():
        described = value if isinstance(value, Described) else Described(name, value)
        text = described.value
        if isinstance(text, bytes):
            text = text.decode(errors="replace")
        match = isinstance(text, str) and _FILTER.fullmatch(text)
        if described.descriptor != _SELECTOR or not match:
            raise LinkFault(faults.INVALID_FIELD, f"a filter not understood: {text!r:.200}")
        number = match[3] if match[3] == "@latest" else int(match[3])
        if isinstance(number, int) and abs(number) >= 2**63:
            raise LinkFault(faults.INVALID_FIELD, "a filter with a number out of range")
        found = _FIELDS[match[1]], number, match[2] == ">="
    return found


class Redirect(Node):
    """The events by the hub's own address: they are read elsewhere."""

    def __init__(self, link, path):
        super().__init__(link)
        self._path = path

    def allowed(self, claims):
        return claims.may("service")

    def fault(self):
        """The LinkFault that says where."""
        host, port = self.link.connection.hostname, self.link.connection.redirect_port
        info = {
            "hostname": host,
            "network-host": host,
            "port": port,
            "address": f"amqps://{host}:{port}/{self._path}",
        }
        return LinkFault(faults.REDIRECT, "the events are read at the address in info", info)


class Reader(Node):
    """One partition, read from where the filter says, and then as events come."""

    def __init__(self, link, group, partition, attach):
        super().__init__(link)
        if not (partition.isascii() and partition.isdigit() and int(partition) < PARTITIONS):
            raise LinkFault(faults.NOT_FOUND, f"there are partitions 0 to {PARTITIONS - 1}")
        if not isinstance(attach.source, Composite):
            raise LinkFault(faults.INVALID_FIELD, "the link has no source")
        self._partition = int(partition)
        self._from = selector(attach.source)
        self._credit = asyncio.Event()
        self._pump = None
        self._idle = False  # it waits for events, not for credit
        self._epoch = (attach.properties or {}).get(_EPOCH)
        self._place = group.lower(), self._partition

    def allowed(self, claims):
        return claims.may("service")

    def opened(self):
        if self._epoch is not None:
            self._own()
        self.link.connection.core.events.readers.add(self)
        self._pump = asyncio.create_task(self._run())

    def cut(self):
        """End the connection as a broken network does."""
        self.link.connection.drop()

    def _own(self):
        """A reader with an epoch has the partition for its own: one with a lower epoch must go."""
        owners = self.link.connection.core.events.owners
        other = owners.get(self._place)
        if other is not None and other._epoch > self._epoch:
            description = f"a reader with epoch {other._epoch} has the partition"
            self.link.detach(LinkFault(faults.STOLEN, description))
            return
        owners[self._place] = self
        if other is not None:
            other.link.detach(LinkFault(faults.STOLEN, "a reader with a higher epoch has come"))

    def closed(self):
        if self._pump is not None:
            self._pump.cancel()
        self.link.connection.core.events.readers.discard(self)
        owners = self.link.connection.core.events.owners
        if owners.get(self._place) is self:
            del owners[self._place]

    def pull(self):
        self._credit.set()
        if self._idle:
            self.link.drained()

    async def _run(self):
        log_ = self.link.connection.core.events
        after = await self._start(log_)
        while True:
            while self.link.credit <= 0 or self.link.session.blocked:
                self._credit.clear()
                await self._credit.wait()
            found = await log_.read(self._partition, after, min(self.link.credit, _BATCH))
            for event in found:
                self.link.send(messages.of_event(event), settled=True)
                after = event["sequenceNumber"]
            try:
                await self.link.connection.drained()
            except (OSError, asyncio.TimeoutError):
                self.link.connection.drop()
                return
            if not found:
                self._idle = True
                self.link.drained()
                await log_.wait_for_more(self._partition, after, _LOOK)
                self._idle = False

    async def _start(self, log_):
        if self._from is None:
            return -1
        field, value, inclusive = self._from
        if value == "@latest":
            return log_.last(self._partition)
        return await log_.before(self._partition, field, value, inclusive)
