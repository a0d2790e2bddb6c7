"""One AMQP session: its links, its window, and the deliveries that are not settled yet.

The hub opens no session and no link of its own, so it answers with the peer's channel and handle.
Source: AMQP 1.0, parts 2.5 and 2.6.
"""

import collections
import logging

from iothub.amqp.composites import (
    ATTACH,
    BEGIN,
    DETACH,
    DISPOSITION,
    FLOW,
    REJECTED,
    TRANSFER,
    Composite,
)
from iothub.amqp.frames import frame

from ..core.errors import HubError
from . import addresses, faults
from .faults import LinkFault, SessionFault
from .links import Incoming, Outgoing

log = logging.getLogger("hub.amqp")

WINDOW = 2**31 - 1  # the links' credit bounds what comes in, so the window need not
HANDLE_MAX = 255
MAX_BACKLOG = 8 * 1024 * 1024


class Session:
    """The session of one channel."""

    def __init__(self, core, connection, settlement, channel, begin):
        self._core = core
        self._connection = connection
        self._settlement = settlement
        self._channel = channel
        self._next_incoming_id = begin.next_outgoing_id
        self._next_outgoing_id = 0
        self._window = begin.incoming_window  # transfers that the peer still takes
        self._backlog = collections.deque()  # (transfer, payload) that wait for the window
        self._backlog_size = 0
        self._links = {}  # handle: Incoming or Outgoing
        self._unsettled = {}  # delivery id: (Outgoing, the item that its node sent)
        self._next_delivery = 0
        self.send(
            Composite(
                BEGIN,
                remote_channel=channel,
                next_outgoing_id=0,
                incoming_window=WINDOW,
                outgoing_window=WINDOW,
                handle_max=HANDLE_MAX,
            )
        )

    def send(self, composite, payload=b""):
        self._connection.send(self._channel, composite, payload)

    def closed(self):
        """The session has ended, and all its links with it."""
        for link in list(self._links.values()):
            link.closed()
        self._links = {}

    async def handle(self, performative, payload):
        """Take in a frame of the channel. SessionFault; Fault: the connection must close."""
        code = performative.descriptor
        if code == TRANSFER:
            await self._transfer(performative, payload)
        elif code == FLOW:
            self._flow(performative)
        elif code == DISPOSITION:
            self._disposition(performative)
        elif code == ATTACH:
            self._attach(performative)
        elif code == DETACH:
            self._detach(performative)
        else:
            raise SessionFault(faults.NOT_ALLOWED, f"{performative} is not allowed in a session")

    # -- links ------------------------------------------------------------------------------

    def _attach(self, attach):
        if attach.handle > HANDLE_MAX or attach.handle in self._links:
            raise SessionFault(
                faults.HANDLE_IN_USE, f"handle {attach.handle} is in use, or over {HANDLE_MAX}"
            )
        link = (Outgoing if attach.role else Incoming)(self, attach)
        self._links[attach.handle] = link
        try:
            link.node = addresses.node_of(self._core, self._connection, link, attach)
        except LinkFault as fault:
            self._refuse(link, fault)
        except HubError as error:
            self._refuse(link, faults.from_error(error))
        else:
            log.info("%s: attached a %s", self._connection, link)
            link.opened(attach)

    def _refuse(self, link, fault):
        """Answer with an attach without source and target, and a detach with the error."""
        self._log(f"refused a {link}", fault)
        link.answer(None, None)
        del self._links[link.handle]
        self.send(Composite(DETACH, handle=link.handle, closed=True, error=fault.error()))

    def _log(self, what, fault):
        log.info("%s: %s: %s: %s", self._connection, what, fault.condition, fault)

    def close_link(self, link, fault=None):
        """Detach a link from this side, with an error if there is one."""
        if self._links.pop(link.handle, None) is link:
            self._forget(link)
            link.closed()
            if fault is not None:
                self._log(f"closed the {link}", fault)
            error = fault and fault.error()
            self.send(Composite(DETACH, handle=link.handle, closed=True, error=error))

    def _detach(self, detach):
        link = self._links.pop(detach.handle, None)
        if link is not None:  # else it answers a detach of ours
            self._forget(link)
            link.closed()
            self.send(Composite(DETACH, handle=detach.handle, closed=detach.closed))

    def _forget(self, link):
        self._unsettled = {
            number: held for number, held in self._unsettled.items() if held[0] is not link
        }

    def close_unauthorized(self, fault):
        """Close the links that the connection's claims no longer cover."""
        for link in list(self._links.values()):
            if not link.node.allowed(self._connection.claims):
                self.close_link(link, fault)

    def _link(self, handle):
        link = self._links.get(handle)
        if link is None:
            raise SessionFault(faults.UNATTACHED, f"handle {handle} has no link: attach one")
        return link

    # -- incoming ---------------------------------------------------------------------------

    async def _transfer(self, transfer, payload):
        self._next_incoming_id = (self._next_incoming_id + 1) & 0xFFFFFFFF
        link = self._link(transfer.handle)
        try:
            if not isinstance(link, Incoming):
                raise LinkFault(faults.NOT_ALLOWED, "a transfer on a link where the peer receives")
            await link.transfer(transfer, payload)
        except LinkFault as fault:
            self.close_link(link, fault)

    def _flow(self, flow):
        self._window = flow.incoming_window
        if flow.next_incoming_id is not None:
            self._window += flow.next_incoming_id - self._next_outgoing_id
        self._drain_backlog()
        if flow.handle is not None:
            link = self._link(flow.handle)
            if isinstance(link, Outgoing):
                link.flow(flow)
        if flow.echo:
            self.send_flow()

    def _disposition(self, disposition):
        """The peer, as the receiver, settles deliveries."""
        if not disposition.role:
            return  # it is about the peer's own messages, which are settled already
        first = disposition.first
        last = first if disposition.last is None else disposition.last
        for number in sorted(n for n in self._unsettled if first <= n <= last):
            link, item = self._unsettled.pop(number)
            fault = link.node.settled(item, disposition.state)
            if fault:
                self._log(f"refused a settlement on the {link}", fault)
            if not disposition.settled:
                state = Composite(REJECTED, error=fault.error()) if fault else disposition.state
                self.send(
                    Composite(DISPOSITION, role=False, first=number, settled=True, state=state)
                )
            link.node.pull()

    # -- outgoing ---------------------------------------------------------------------------

    def send_flow(self, **of_link):
        """Send the session's flow state, and a link's if it is given."""
        self.send(
            Composite(
                FLOW,
                next_incoming_id=self._next_incoming_id,
                incoming_window=WINDOW,
                next_outgoing_id=self._next_outgoing_id,
                outgoing_window=WINDOW,
                **of_link,
            )
        )

    def replenish(self):
        """Give new credit to the links whose credit runs out."""
        for link in self._links.values():
            if isinstance(link, Incoming):
                link.replenish()

    async def settle(self, delivery_id, outcome, then=None):
        """Settle a delivery of the peer's, once all that came is on disk (see Settlement)."""
        await self._settlement.settle(self, delivery_id, outcome, then)

    def deliver(self, link, payload, item, settled):
        """Send a message on a link, in as many frames as it needs.

        item: given back to the node when the peer settles the message.
        """
        number, self._next_delivery = self._next_delivery, (self._next_delivery + 1) & 0xFFFFFFFF
        if not settled:
            self._unsettled[number] = link, item
        first = {
            "delivery_id": number,
            "delivery_tag": number.to_bytes(4, "big"),
            "message_format": 0,
            "settled": settled,
        }
        at = 0
        while True:
            transfer = Composite(TRANSFER, handle=link.handle, more=False, **first)
            room = self._connection.max_frame - len(frame(0, transfer))
            transfer.more = at + room < len(payload)
            self._queue(transfer, payload[at : at + room])
            at += room
            first = {}
            if not transfer.more:
                return

    def _queue(self, transfer, payload):
        self._backlog.append((transfer, payload))
        self._backlog_size += len(payload)
        if self._backlog_size > MAX_BACKLOG:
            raise SessionFault(
                "amqp:session:window-violation",
                "the peer does not open its window: too much waits to be sent",
            )
        self._drain_backlog()

    def _drain_backlog(self):
        while self._backlog and self._window > 0:
            transfer, payload = self._backlog.popleft()
            self._backlog_size -= len(payload)
            self._window -= 1
            self._next_outgoing_id = (self._next_outgoing_id + 1) & 0xFFFFFFFF
            self.send(transfer, payload)

    @property
    def blocked(self):
        """Whether something waits for the peer to open its window."""
        return bool(self._backlog)
