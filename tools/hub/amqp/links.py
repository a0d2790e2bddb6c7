"""Links: what a peer sends (Incoming) and what it receives (Outgoing), and the nodes behind them.

Source: AMQP 1.0, part 2.6.
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
_MAX_WAITING = 100
ACCEPT = Composite(ACCEPTED)


class Node:
    """What stands at a link's other end. A subclass says who may have it and what it does."""

    def __init__(self, link):
        self.link = link

    def allowed(self, claims):
        """Whether the connection's claims (still) cover this node."""
        raise NotImplementedError

    def opened(self):
        """The link is attached."""

    def closed(self):
        """The link is gone."""

    def pull(self):
        """There may be credit: send what there is."""

    def receive(self, message):
        """Take in a message; what to call once all is durable, or None. HubError, Fault."""
        raise LinkFault(faults.NOT_ALLOWED, "nothing can be sent there")

    def settled(self, what, outcome):
        """The peer has settled what link.send() sent; a Fault if it may not any more."""


class Queued(Node):
    """A node that sends messages, settled, as credit allows; the newest hundred wait for it."""

    def __init__(self, link):
        super().__init__(link)
        self._waiting = collections.deque(maxlen=_MAX_WAITING)

    def queue(self, message):
        self._waiting.append(message)
        self.pull()

    def pull(self):
        while self._waiting and self.link.credit > 0:
            self.link.send(self._waiting.popleft(), settled=True)
        self.link.drained()


class _Link:
    def __init__(self, session, attach):
        self.session = session
        self.connection = session.connection
        self.handle = attach.handle
        self.name = attach.name
        self.node = None
        terminus = attach.source if attach.role else attach.target
        self.address = _address(terminus)
        self._modes = attach.snd_settle_mode, attach.rcv_settle_mode
        self._attached = False

    def __str__(self):
        direction = "receiver of" if isinstance(self, Outgoing) else "sender to"
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

    def gone(self):
        if self.node is not None and self._attached:
            self._attached = False
            self.node.closed()

    def detach(self, fault=None):
        """End the link from this side."""
        self.session.detach(self, fault)


class Incoming(_Link):
    """A link on which the peer sends."""

    def __init__(self, session, attach):
        super().__init__(session, attach)
        self._count = attach.initial_delivery_count or 0
        self._credit = 0
        self._waiting = 0  # deliveries whose outcome has not been sent
        self._parts = bytearray()
        self._first = None  # the transfer that began the delivery

    def opened(self, attach):
        self._attached = True
        self.answer(attach.source, attach.target, max_message_size=MAX_MESSAGE)
        self.node.opened()
        self.replenish()

    def replenish(self):
        """Keep the credit between half and whole, less what is being worked on."""
        if self._credit <= CREDIT // 2:
            self._credit = CREDIT
            self.session.send_flow(
                handle=self.handle, delivery_count=self._count, link_credit=CREDIT
            )

    async def transfer(self, transfer, payload):
        """Take in a frame; with the last one of a message, the message. LinkFault."""
        if self._first is None:
            if self._credit <= 0:
                raise LinkFault(faults.CREDIT_EXCEEDED, "more messages than there was credit for")
            if transfer.delivery_id is None:
                raise LinkFault(faults.INVALID_FIELD, "a delivery without delivery-id")
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
            await self.connection.settle_later(self.session, number, outcome, then)

    def _clear(self):
        self._first = None
        self._parts = bytearray()

    def _receive(self, first, data):
        """(outcome, what to call when all is durable) of a whole message."""
        try:
            message = decode_message(data, exact=True)
            message.format = first.message_format or 0
            return ACCEPT, self.node.receive(message)
        except DecodeError as error:
            fault = Fault(faults.DECODE_ERROR, str(error))
        except HubError as error:
            fault = faults.of_refusal(error)
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
        """The peer gives credit."""
        if flow.link_credit is not None:
            credit = ((flow.delivery_count or 0) + flow.link_credit - self._count) & 0xFFFFFFFF
            self.credit = 0 if credit >= 1 << 31 else credit
        self.drain = bool(flow.drain)
        self.node.pull()

    def send(self, message, what=None, settled=False):
        """Send an AmqpMessage, which uses up a credit."""
        self.credit -= 1
        self._count = (self._count + 1) & 0xFFFFFFFF
        self.session.deliver(self, message.encode(), what, settled or self.settled)
        if settled or self.settled:
            self.node.settled(what, ACCEPT)

    def drained(self):
        """There is nothing to send: where the peer wants that, its credit is used up."""
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
