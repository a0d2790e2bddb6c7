"""AMQP links, and the base of the nodes behind them.

On an Incoming link the peer sends; on an Outgoing link it receives. Source: AMQP 1.0, part 2.6.
"""

import collections

from iothub.amqp.codec import DecodeError
from iothub.amqp.composites import ACCEPTED, ATTACH, REJECTED, Composite
from iothub.amqp.sections import decode_message

from ..core.errors import HubError
from . import faults
from .faults import Fault, LinkFault

CREDIT = 200
MAX_MESSAGE = 320 * 1024  # telemetry of 256 KB, with its properties
_SETTLED = 1  # snd-settle-mode
_MAX_BUFFERED = 100
ACCEPT = Composite(ACCEPTED)


class Node:
    """The hub's end of one link. A subclass says who may attach to it, and what it does."""

    def __init__(self, core, connection, link):
        self.core = core
        self.connection = connection
        self.link = link

    def allowed(self, claims):
        """Whether the claims cover this node; asked at attach, and when a claim expires."""
        raise NotImplementedError

    def opened(self):
        """The link is attached."""

    def closed(self):
        """The link has ended."""

    def pull(self):
        """The peer may have given credit: send what waits."""

    def receive(self, message):
        """Take in a message. HubError: it is rejected; LinkFault: the link is closed.

        Returns None, or a function to call when what the message changed is on disk.
        """
        raise LinkFault(faults.NOT_ALLOWED, "nothing can be sent to this address")

    def settled(self, item, outcome):
        """The peer has settled the message of `item`; returns a Fault if it came too late."""


class Buffer:
    """Sends settled messages on a link as credit allows. Without credit, the newest 100 wait."""

    def __init__(self, link):
        self._link = link
        self._messages = collections.deque(maxlen=_MAX_BUFFERED)

    def send(self, message):
        """Send an AmqpMessage as soon as there is credit."""
        self._messages.append(message)
        self.pull()

    def pull(self):
        """The peer may have given credit: send what waits."""
        while self._messages and self._link.credit > 0:
            self._link.send(self._messages.popleft(), settled=True)
        self._link.finish_drain()


class _Link:
    """What both kinds of link share: their name and address, attach and detach."""

    def __init__(self, session, attach):
        self.session = session
        self.handle = attach.handle
        self.name = attach.name
        self.node = None
        terminus = attach.source if attach.role else attach.target
        self.address = _address(terminus)
        self._modes = attach.snd_settle_mode, attach.rcv_settle_mode
        self._attached = False

    def __str__(self):
        direction = "receiver from" if isinstance(self, Outgoing) else "sender to"
        return f"{direction} {(self.address or '')[:200]}"

    def answer(self, source, target, **fields):
        """Answer the attach."""
        sender, receiver = self._modes
        attach = Composite(
            ATTACH,
            name=self.name,
            handle=self.handle,
            role=isinstance(self, Incoming),
            snd_settle_mode=2 if sender is None else sender,
            rcv_settle_mode=receiver or 0,
            source=source,
            target=target,
            **fields,
        )
        self.session.send(attach)

    def close(self, fault=None):
        """Detach the link from this side, with an error if there is one."""
        self.session.close_link(self, fault)

    def closed(self):
        """The link has ended, from either side."""
        if self.node is not None and self._attached:
            self._attached = False
            self.node.closed()


class Incoming(_Link):
    """A link on which the peer sends."""

    def __init__(self, session, attach):
        super().__init__(session, attach)
        self._count = attach.initial_delivery_count or 0
        self._credit = 0
        self._parts = bytearray()
        self._first = None  # the first transfer of the delivery under way

    def opened(self, attach):
        self._attached = True
        self.answer(attach.source, attach.target, max_message_size=MAX_MESSAGE)
        self.node.opened()
        self.replenish()

    def replenish(self):
        """Give the peer its whole credit again, once half of it is used up."""
        if self._credit <= CREDIT // 2:
            self._credit = CREDIT
            self.session.send_flow(
                handle=self.handle, delivery_count=self._count, link_credit=CREDIT
            )

    async def transfer(self, transfer, payload):
        """Take in a frame of a message, and the message with its last frame. LinkFault."""
        if self._first is None:
            if self._credit <= 0:
                raise LinkFault(
                    faults.CREDIT_EXCEEDED, "more messages than the hub gave credit for"
                )
            if transfer.delivery_id is None:
                raise LinkFault(
                    faults.INVALID_FIELD, "the first transfer of a delivery has no delivery-id"
                )
            self._first = transfer
        if transfer.aborted:
            self._clear()
            return
        self._parts += payload
        if len(self._parts) > MAX_MESSAGE:
            raise LinkFault(faults.TOO_LARGE, f"the message is larger than {MAX_MESSAGE} bytes")
        if not transfer.more:
            first, data = self._first, bytes(self._parts)
            settled = first.settled or transfer.settled
            self._clear()
            self._credit -= 1
            self._count = (self._count + 1) & 0xFFFFFFFF
            outcome, then = self._receive(first, data)
            number = None if settled else first.delivery_id
            await self.session.settle(number, outcome, then)

    def _clear(self):
        self._first = None
        self._parts = bytearray()

    def _receive(self, first, data):
        """(outcome, a function to call when all is on disk or None) of a whole message."""
        try:
            message = decode_message(data, exact=True)
            message.format = first.message_format or 0
            return ACCEPT, self.node.receive(message)
        except DecodeError as error:
            fault = Fault(faults.DECODE_ERROR, str(error))
        except HubError as error:
            fault = faults.from_error(error)
        return Composite(REJECTED, error=fault.error()), None


class Outgoing(_Link):
    """A link on which the peer receives."""

    def __init__(self, session, attach):
        super().__init__(session, attach)
        self.credit = 0
        self.drain = False
        self._count = 0
        self.settled = attach.snd_settle_mode == _SETTLED

    def opened(self, attach):
        self._attached = True
        self.answer(attach.source, attach.target, initial_delivery_count=0)
        self.node.opened()

    def flow(self, flow):
        """Take in the credit that the peer gives."""
        if flow.link_credit is not None:
            credit = ((flow.delivery_count or 0) + flow.link_credit - self._count) & 0xFFFFFFFF
            self.credit = 0 if credit >= 1 << 31 else credit
        self.drain = bool(flow.drain)
        self.node.pull()

    def send(self, message, item=None, settled=False):
        """Send an AmqpMessage, which uses up one credit.

        item: given to node.settled() when the peer settles the message.
        """
        self.credit -= 1
        self._count = (self._count + 1) & 0xFFFFFFFF
        self.session.deliver(self, message.encode(), item, settled or self.settled)
        if settled or self.settled:
            self.node.settled(item, ACCEPT)

    @property
    def blocked(self):
        """Whether messages wait for the peer to open its session's window."""
        return self.session.blocked

    def finish_drain(self):
        """Nothing is left to send: if the peer drains the link, use up its credit (2.6.7)."""
        if self.drain and self.credit > 0:
            self._count = (self._count + self.credit) & 0xFFFFFFFF
            self.credit = 0
            self.session.send_flow(
                handle=self.handle, delivery_count=self._count, link_credit=0, drain=True
            )


def _address(terminus):
    address = getattr(terminus, "address", None)
    if getattr(terminus, "dynamic", None) or not isinstance(address, (str, type(None))):
        return None
    return address
