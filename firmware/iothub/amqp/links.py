"""AMQP links without I/O: Sender and Receiver, as session.Session carries them.

Source: AMQP 1.0, part 2.6.
"""

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


class Delivery:
    """A message that is to be sent, until it is settled: the encoded message, in two parts."""

    def __init__(self, head, body=b"", presettled=False):
        self.head = head
        self.body = body
        self.presettled = presettled
        self.error = None


class Link:
    """What both kinds share. `about` is whatever the owner wants to find again."""

    role = None  # type: bool  # AMQP's: True receives

    def __init__(self, session, handle, address, properties=None, filter=None):
        self.session = session
        self.handle = handle
        self.address = address
        self.attached = False
        self._detached = False  # this side has said so
        self.about = None
        self._properties = properties
        self._filter = filter

    def attach(self):
        """Write the attach."""
        own = "%d" % self.handle
        self.session.send(
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

    def detach(self):
        """Write the detach, once; the link is forgotten when the peer has said it too."""
        if not self._detached:
            self._detached = True
            self.attached = False
            self.session.send(Composite(DETACH, handle=self.handle, closed=True))


class Sender(Link):
    """Sends what is in `queue` as the peer gives credit; `unsettled` is {number: Delivery}."""

    role = False

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.queue = []
        self.unsettled = {}
        self.limit = 256  # unsettled deliveries on their way at once
        self._credit = 0
        self._count = 0
        self._at = 0  # how much of queue[0] has been written

    def send(self, delivery):
        """Queue a Delivery."""
        self.queue.append(delivery)

    def withdraw(self, delivery):
        """Do not send a Delivery, unless its first frame has left."""
        if delivery in self.queue[1 if self._at else 0 :]:
            self.queue.remove(delivery)

    def flow(self, flow):
        """The peer's word on its credit."""
        if flow.link_credit is not None:
            credit = ((flow.delivery_count or 0) + flow.link_credit - self._count) & 0xFFFFFFFF
            self._credit = 0 if credit >> 31 else credit

    def write(self):
        """Write the next frame of the oldest message, if one may leave; whether one did."""
        if not self.queue or not self.session.window:
            return False
        if not self._at and (not self._credit or len(self.unsettled) >= self.limit):
            return False
        delivery = self.queue[0]
        transfer = Composite(TRANSFER, handle=self.handle, more=False)  # type: Any  # type: ignore[name-defined]
        if not self._at:
            # From its first frame on, so that credit taken back meanwhile does not go below none.
            self._credit -= 1
            self._count = (self._count + 1) & 0xFFFFFFFF
            number = self.session.number()
            transfer.delivery_id = number
            transfer.delivery_tag = number.to_bytes(4, "big")
            transfer.message_format = 0
            transfer.settled = delivery.presettled
            if not delivery.presettled:
                self.unsettled[number] = delivery
        head = len(delivery.head)
        end = min(head + len(delivery.body), self._at + self.session.max_frame - _OVERHEAD)
        transfer.more = end < head + len(delivery.body)
        first = memoryview(delivery.head)[self._at : end]
        rest = memoryview(delivery.body)[max(0, self._at - head) : max(0, end - head)]
        self.session.transfer(transfer, first, rest)
        self._at = end
        if not transfer.more:
            self.queue.pop(0)
            self._at = 0
            if delivery.presettled:
                self.session.owner.settled(delivery, None)
        return True

    def settle(self, first, last, state):
        """The peer has settled deliveries first to last."""
        for number in sorted([n for n in self.unsettled if first <= n <= last]):
            self.session.owner.settled(self.unsettled.pop(number), state)


class Receiver(Link):
    """Gathers messages, none over max_inbound; `credit` of them may come unasked for.

    Each message that has been dealt with is made up for by grant().
    """

    role = True

    def __init__(self, session, handle, address, properties=None, filter=None, credit=10):
        super().__init__(session, handle, address, properties, filter)
        self._limit = credit
        self._credit = 0  # of what the peer was told, what is left
        self._granted = credit
        self._count = 0
        self._first = None
        self._size = 0
        self._parts = bytearray()

    def opened(self, attach):
        """The peer's attach."""
        self._count = attach.initial_delivery_count or 0
        self._flow()

    def grant(self, count=1):
        """That many more may come; the peer is told when it is worth a frame."""
        self._granted += count
        if self._granted >= (self._limit + 1) // 2:
            self._flow()

    def _flow(self):
        self._credit += self._granted
        self._granted = 0
        if self.attached:
            self.session.flow(
                handle=self.handle, delivery_count=self._count, link_credit=self._credit
            )

    def transfer(self, transfer, payload):
        """A frame of a message; with the last one, the owner gets it."""
        if self._first is None:
            self._first = transfer
            self._size = 0
        self._size += len(payload)
        fits = self._size <= self.session.max_inbound
        if transfer.aborted:
            self._first, self._parts = None, bytearray()
        elif fits:
            self._parts.extend(payload)
        else:  # drained, but for what tells whose it is
            self._parts.extend(payload[:_HEAD])
            self._parts = self._parts[:_HEAD]
        if self._first is None or transfer.more:
            return
        first, parts = self._first, self._parts
        self._first, self._parts = None, bytearray()
        self._count = (self._count + 1) & 0xFFFFFFFF
        self._credit = max(0, self._credit - 1)  # RabbitMQ may send more than it was allowed
        number = None if first.settled or transfer.settled else first.delivery_id
        if fits:
            self.session.owner.received(self, number, parts)
        else:
            self.session.owner.oversized(self, number, self._size, parts)

    def settle(self, number, descriptor=ACCEPTED, **fields):
        """Say what became of a message; None: it was settled when it came."""
        if number is not None:
            state = Composite(descriptor, **fields)
            self.session.send(
                Composite(DISPOSITION, role=True, first=number, settled=True, state=state)
            )
