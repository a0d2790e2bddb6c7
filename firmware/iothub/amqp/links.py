"""AMQP links without I/O: Sender and Receiver. Source: AMQP 1.0, part 2.6.

The owner of a link is told, as methods: on_message(receiver, number, payload),
on_oversized(receiver, number, size, head), on_no_room(receiver, number), where the heap is full,
on_settled(delivery, state) and on_detached(link, error), where `error` is a Composite that the
peer sent, or None.
"""

from ..compat import Future
from ..errors import ConnectionDroppedError, CredentialError, ServiceError
from .composites import (
    ACCEPTED,
    ATTACH,
    DETACH,
    DISPOSITION,
    SOURCE,
    TARGET,
    TRANSFER,
    Composite,
)

_HEAD = 1024  # bytes of a message too large to keep, that are kept
_OVERHEAD = 64  # bytes that a transfer frame has besides its payload, at most


class Link:
    """What both kinds share. opened: a Future, set once the peer has attached it too."""

    role = None  # type: bool  # AMQP's: True receives

    def __init__(self, protocol, handle, address, owner, properties=None, filter=None):
        self.protocol = protocol
        self.handle = handle
        self.address = address
        self.owner = owner
        self.opened = Future()
        self.attached = False
        self._detached = False  # this side has said so
        self._properties = properties
        self._filter = filter

    def attach(self):
        """Write the attach."""
        own = "%d" % self.handle
        self.protocol.send(
            Composite(
                ATTACH,
                name=own + self.address,
                handle=self.handle,
                role=self.role,
                snd_settle_mode=2,
                rcv_settle_mode=0,
                source=Composite(
                    SOURCE, address=self.address if self.role else own, filter=self._filter
                ),
                target=Composite(TARGET, address=own if self.role else self.address),
                initial_delivery_count=None if self.role else 0,
                properties=self._properties,
            )
        )

    def on_attach(self, attach):
        """The peer has attached it."""
        self.attached = True
        self.opened.set_result()

    def detach(self):
        """Write the detach, once; the link is forgotten when the peer has said it too."""
        if not self._detached:
            self._detached = True
            self.attached = False
            self.protocol.send(Composite(DETACH, handle=self.handle, closed=True))

    def on_detach(self, error):
        """The peer has detached it, or refused to attach it."""
        ours = self._detached
        self.detach()
        if not self.opened.done():
            self.opened.set_exception(refusal(error, "attach"))
        elif not ours:
            self.owner.on_detached(self, error)

    def fail(self, error):
        """The connection has ended."""
        self.attached = False
        if not self.opened.done():
            self.opened.set_exception(error)


class Sender(Link):
    """Sends what is in its queue, then the deliveries of `pending`, as the peer gives credit.

    `unsettled` is {number: Delivery}.
    """

    role = False

    def __init__(self, *arguments, pending=None):
        super().__init__(*arguments)
        self.unsettled = {}
        self._queue = []
        self._pending = pending
        self._credit = 0
        self._count = 0
        self._delivery = None  # the one that is being written,
        self._at = 0  # and how much of it has been
        if pending is not None:
            pending.restart()  # the link before may have ended without its connection

    def send(self, delivery):
        """Queue a Delivery."""
        self._queue.append(delivery)
        self.protocol.output.set()

    def flow(self, flow):
        """The peer's word on its credit."""
        if flow.link_credit is not None:
            credit = ((flow.delivery_count or 0) + flow.link_credit - self._count) & 0xFFFFFFFF
            self._credit = 0 if credit >> 31 else credit

    def _next(self):
        """The next Delivery, if one may leave now."""
        if not self._credit:
            return None
        if self._queue:
            return self._queue.pop(0)
        return self._pending.next() if self._pending is not None else None

    def write(self):
        """Write the next frame of the oldest message, if one may leave; whether one did."""
        if not self.protocol.window:
            return False
        delivery = self._delivery = self._delivery or self._next()
        if delivery is None:
            return False
        transfer = Composite(TRANSFER, handle=self.handle, more=False)  # type: Any  # type: ignore[name-defined]
        if not self._at:
            # From its first frame on, so that credit taken back meanwhile does not go below none.
            self._credit -= 1
            self._count = (self._count + 1) & 0xFFFFFFFF
            number = self.protocol.number()
            transfer.delivery_id = number
            transfer.delivery_tag = number.to_bytes(4, "big")
            transfer.message_format = 0
            transfer.settled = delivery.presettled
            if not delivery.presettled:
                self.unsettled[number] = delivery
        head = len(delivery.head)
        end = min(head + len(delivery.body), self._at + self.protocol.max_frame - _OVERHEAD)
        transfer.more = end < head + len(delivery.body)
        first = memoryview(delivery.head)[self._at : end]
        rest = memoryview(delivery.body)[max(0, self._at - head) : max(0, end - head)]
        self.protocol.transfer(transfer, first, rest)
        self._at = end
        if not transfer.more:
            self._delivery, self._at = None, 0
        return True

    def fail(self, error):
        super().fail(error)
        if self._pending is not None:
            self._pending.restart()

    def settle(self, first, last, state):
        """The peer has settled deliveries first to last."""
        for number in sorted([n for n in self.unsettled if first <= n <= last]):
            self.owner.on_settled(self.unsettled.pop(number), state)


class Receiver(Link):
    """Gathers messages, none over max_inbound; `credit` of them may come unasked for.

    grant() makes up for each message that has been dealt with. While it is paused the peer is
    not told.
    """

    paused = False

    role = True

    def __init__(self, protocol, handle, address, owner, properties=None, filter=None, credit=10):
        super().__init__(protocol, handle, address, owner, properties, filter)
        self._limit = credit
        self._credit = 0  # of what the peer was told, what is left
        self._granted = credit
        self._count = 0
        self._first = None
        self._size = 0
        self._parts = bytearray()
        self._full = False  # the heap had no room for the message that comes

    def on_attach(self, attach):
        """The peer has attached it: give it credit."""
        super().on_attach(attach)
        self._count = attach.initial_delivery_count or 0
        self._flow()

    def grant(self, count=1):
        """That many more may come; the peer is told when it is worth a frame."""
        self._granted += count
        if self._granted >= (self._limit + 1) // 2 and not self.paused:
            self._flow()

    def pause(self, paused):
        """Let no more come than the peer was told, or let them come again."""
        self.paused = paused
        self.grant(0)

    def _flow(self):
        self._credit += self._granted
        self._granted = 0
        if self.attached:
            self.protocol.flow(
                handle=self.handle, delivery_count=self._count, link_credit=self._credit
            )

    def transfer(self, transfer, payload):
        """A frame of a message; with the last one, the owner gets it."""
        if self._first is None:
            self._first = transfer
            self._size = 0
        self._size += len(payload)
        fits = self._size <= self.protocol.max_inbound
        if transfer.aborted:
            self._first, self._parts = None, bytearray()
        else:
            try:
                # One that is too large is drained, but for what tells whose it is.
                self._parts.extend(
                    payload if fits else payload[: max(0, _HEAD - len(self._parts))]
                )
            except MemoryError:
                self._full, self._parts = True, bytearray()
        if self._first is None or transfer.more:
            return
        first, parts = self._first, self._parts
        self._first, self._parts = None, bytearray()
        self._count = (self._count + 1) & 0xFFFFFFFF
        self._credit = max(0, self._credit - 1)  # RabbitMQ may send more than it was allowed
        number = None if first.settled or transfer.settled else first.delivery_id
        full, self._full = self._full, False
        if full:
            self.owner.on_no_room(self, number)
        elif fits:
            self.owner.on_message(self, number, parts)
        else:
            self.owner.on_oversized(self, number, self._size, parts)

    def settle(self, number, descriptor=ACCEPTED, **fields):
        """Say what became of a message. number None: it was settled when it came."""
        if number is not None:
            state = Composite(descriptor, **fields)
            self.protocol.send(
                Composite(DISPOSITION, role=True, first=number, settled=True, state=state)
            )


def refusal(error, stage):
    """The exception for an error that the peer sent (a Composite, or None). Its `code` is the
    condition; `info` is what the peer added.
    """
    condition = getattr(error, "condition", None) or "amqp:link:detach-forced"
    description = getattr(error, "description", None) or "the hub says no more"
    if condition in ("amqp:connection:forced", "amqp:link:detach-forced", "amqp:link:stolen"):
        dropped = ConnectionDroppedError("%s (%s)" % (description, condition), stage)
        dropped.code = condition
        return dropped
    kind = CredentialError if condition == "amqp:unauthorized-access" else ServiceError
    refused = kind(description, stage, condition)
    refused.info = getattr(error, "info", None)
    return refused
