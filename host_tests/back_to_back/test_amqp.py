"""The client's AMQP protocol and the hub's AMQP front, joined in memory: telemetry and C2D
messages of one frame or many, in any order, through any cuts of the stream and lost connections.
"""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.support.memory_connection import MemoryConnection
from iothub.amqp.composites import ACCEPTED, REJECTED, RELEASED
from iothub.amqp.protocol import AMQPProtocol
from iothub.amqp.sections import AmqpMessage, decode_message
from iothub.errors import ConnectionDroppedError
from iothub.pending import Pending
from tools.hub.amqp.connection import Connection

MOST_CUTS, MOST_RELEASES = 5, 3  # the hub delivers a message ten times at most
MOST_C2D = 40  # and fifty may wait
CREDIT = 4
WINDOW = 4


class Device:
    """The client's protocol; this class alone depends on its interface."""

    def __init__(self, device_id, token, max_frame):
        self._options = device_id, "localhost", 60000, max_frame, 1 << 16
        self._login = f"\0{device_id}@sas.localhost\0{token}".encode()
        self._address = f"/devices/{device_id}/messages/"
        self._pending = Pending(1 << 30, WINDOW, "disposition")
        self._protocol = self._sender = self._receiver = None
        self._unsettled = []  # (body, Delivery) of telemetry, oldest first
        self.settled_bodies = []  # bodies of telemetry, in the order of their outcomes
        self.received_bodies = []  # of C2D messages
        self.unsettled = []  # (body, number) of C2D messages

    def connect(self):
        """Begin a new connection; the one before has ended."""
        if self._protocol is not None:
            self._protocol.fail(ConnectionDroppedError("the test ended it", "read"))
        self.unsettled = []
        self._protocol = AMQPProtocol(*self._options)
        self._protocol.start("PLAIN", self._login)
        self._sender = self._receiver = None

    def publish(self, body):
        delivery = self._pending.add(*AmqpMessage(body).parts_to_send(), 0)
        self._unsettled.append((body, delivery))

    def settle(self, outcome):
        """Settle the oldest C2D message: its body, or None."""
        if not self.unsettled:
            return None
        body, number = self.unsettled.pop(0)
        self._receiver.settle(number, outcome)
        self._receiver.grant()
        return body

    @property
    def attached(self):
        """Whether the connection is open, and both links are attached."""
        futures = [link.opened for link in (self._sender, self._receiver) if link is not None]
        assert all(future.error is None for future in [*futures, self._protocol.accepted])
        return len(futures) == 2 and all(future.done() for future in futures)

    @property
    def waiting(self):
        """Whether telemetry waits for its outcome."""
        return bool(self._unsettled)

    def take(self):
        data = bytearray()
        while self._protocol.pump():
            data += self._protocol.take()
        return data

    def feed(self, data):
        protocol = self._protocol
        protocol.feed(data)
        if protocol.accepted.done() and self._sender is None:
            self._sender = protocol.sender(self, self._address + "events", pending=self._pending)
            self._receiver = protocol.receiver(self, self._address + "devicebound", credit=CREDIT)

    def on_message(self, receiver, number, payload):
        """Called by the protocol."""
        body = decode_message(payload, exact=True).body
        self.received_bodies.append(body)
        self.unsettled.append((body, number))

    def on_settled(self, delivery, state):
        """Called by the protocol."""
        assert state.descriptor == ACCEPTED
        self._pending.settle(delivery)
        (body,) = [body for body, one in self._unsettled if one is delivery]
        self._unsettled.remove((body, delivery))
        self.settled_bodies.append(body)


class Story:
    """The steps of one device, with a record of all messages, and the checks at the end."""

    def __init__(self, testbed, cuts, max_frame):
        self._testbed = testbed
        self._cuts = cuts
        self._identity, token = testbed.new_device()
        self.device = Device(self._identity.device_id, token, max_frame)
        self._connection = None
        self._lost = 0
        self._released = Counter()  # C2D messages: how often
        self._confirming = []  # C2D messages that were accepted or rejected on this connection
        self._done = set()  # those of which the hub knows it
        self.published = []  # bodies of telemetry
        self.sent = []  # bodies of C2D messages

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        if self._connection is not None:
            await self._connection.__aexit__(*error)

    async def connect(self):
        def front(reader, writer):
            return Connection(self._testbed.core, reader, writer).run()

        self.device.connect()
        self._connection = await MemoryConnection(self.device, front, self._cuts).__aenter__()
        self._confirming = []
        await self._connection.until(lambda: self.device.attached)

    # -- the steps

    async def publish(self, number):
        for _ in range(1 + number % 5):
            self.published.append(b"%d " % len(self.published) + b"x" * (number * 50))
            self.device.publish(self.published[-1])

    async def c2d(self, number):
        """Queue up to two messages more than the link's credit at once."""
        for _ in range(min(1 + number % (CREDIT + 2), MOST_C2D - len(self.sent))):
            self.sent.append(b"%d " % len(self.sent) + b"y" * (number * 50))
            self._testbed.send_c2d(self._identity, self.sent[-1])

    async def _receive(self):
        """Let the device have a C2D message that it has not settled, if there is one."""
        if not self.device.unsettled and len(self._identity.queue):
            await self.settle(0)

    async def accept(self, number):
        await self._receive()
        body = self.device.settle(ACCEPTED)
        if body is not None:
            self._confirming.append(body)

    async def reject(self, number):
        await self._receive()
        body = self.device.settle(REJECTED)
        if body is not None:
            self._confirming.append(body)

    async def release(self, number):
        await self._receive()
        if self.device.unsettled and self._released[self.device.unsettled[0][0]] < MOST_RELEASES:
            self._released[self.device.settle(RELEASED)] += 1

    async def exchange(self, number):
        self._connection.exchange()

    async def settle(self, number):
        """Exchange until the hub has settled everything; then it has read the outcomes, too."""
        await self.publish(0)
        await self._connection.until(lambda: not self.device.waiting)
        self._done.update(self._confirming)

    async def cut(self, number):
        if self._lost < MOST_CUTS:
            self._lost += 1
            self._connection.lose(number * 40, number * 20)
            await self._connection.__aexit__()
            before = len(self.device.received_bodies)
            await self.connect()
            if number % 2:
                await self.settle(number)
                again = self.device.received_bodies[before:]
                assert not self._done & set(again), "it was accepted or rejected"

    async def finish(self):
        """Accept all C2D messages, then check both sides."""
        received = self.device.received_bodies
        await self.settle(0)
        while len(self._identity.queue):
            while self.device.unsettled:
                await self.accept(0)
            await self.settle(0)
        assert list(dict.fromkeys(received)) == self.sent
        assert self.device.settled_bodies == self.published
        arrived = await self._testbed.telemetry(self._identity)
        assert list(dict.fromkeys(arrived)) == self.published
        if not self._lost:
            assert arrived == self.published
            assert len(received) == len(self.sent) + sum(self._released.values())


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["publish", "c2d", "accept", "reject", "release", "exchange", "settle"] + ["cut"]
        ),
        st.integers(0, 60),
    ),
    min_size=5,
    max_size=40,
)


@settings(max_examples=60)
@given(STEPS, st.lists(st.integers(1, 600), min_size=1, max_size=6), st.integers(512, 4096))
def test_nothing_is_lost_between_client_and_hub(core_testbed, steps, cuts, max_frame):
    async def scenario():
        async with Story(core_testbed, cuts, max_frame) as story:
            await story.connect()
            for name, number in steps:
                await getattr(story, name)(number)
            await story.finish()

    core_testbed.run(scenario())
