"""The client's AMQP protocol and the hub's AMQP front, joined in memory: telemetry and C2D
messages of one frame or many, in any order, through any cuts of the stream and lost connections.
"""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.support.memory_connection import MemoryConnection
from iothub.amqp.composites import ACCEPTED, REJECTED, RELEASED
from iothub.amqp.links import Delivery
from iothub.amqp.protocol import Session
from iothub.amqp.sections import AmqpMessage, decode_message
from tools.hub.amqp.connection import Connection

MOST_CUTS, MOST_RELEASES = 5, 3  # the hub delivers a message ten times at most
MOST_C2D = 40  # and fifty may wait
CREDIT = 4


class Device:
    """The client's protocol; this class alone depends on its interface."""

    def __init__(self, device_id, token, max_frame):
        self._session = Session(self, device_id, "localhost", 60000, max_frame, 1 << 16)
        self._login = f"\0{device_id}@sas.localhost\0{token}".encode()
        self._address = f"/devices/{device_id}/messages/"
        self._sender = self._receiver = None
        self.waiting = []  # Deliveries of telemetry without an outcome, oldest first
        self.settled_bodies = []  # bodies of telemetry, in the order of their outcomes
        self.received_bodies = []  # of C2D messages
        self.unsettled = []  # (body, number) of C2D messages

    # -- called by the test

    def connect(self):
        self.unsettled = []
        self._session.start("PLAIN", self._login)

    def publish(self, body):
        delivery = Delivery(*AmqpMessage(body).parts_to_send())
        delivery.told = body
        self.waiting.append(delivery)
        self._sender.send(delivery)

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
        links = self._sender, self._receiver
        return all(link is not None and link.attached for link in links)

    def take(self):
        data = bytearray()
        while self._session.pump():
            data += self._session.take()
        return data

    def feed(self, data):
        self._session.feed(data)

    # -- called by the protocol

    def opened(self):
        self._sender = self._session.sender(self._address + "events")
        self._receiver = self._session.receiver(self._address + "devicebound", credit=CREDIT)
        for delivery in self.waiting:
            self._sender.send(delivery)

    def link_attached(self, link):
        pass

    def received(self, receiver, number, payload):
        body = decode_message(payload, exact=True).body
        self.received_bodies.append(body)
        self.unsettled.append((body, number))

    def settled(self, delivery, state):
        assert state.descriptor == ACCEPTED
        self.waiting.remove(delivery)
        self.settled_bodies.append(delivery.told)


class Story:
    """The steps of one device, with a record of all messages, and the checks at the end."""

    def __init__(self, testbed, cuts, max_frame):
        self._bench = testbed
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
            return Connection(self._bench.core, reader, writer).run()

        self._connection = await MemoryConnection(self.device, front, self._cuts).__aenter__()
        self._confirming = []
        self.device.connect()
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
            self._bench.send_c2d(self._identity, self.sent[-1])

    async def accept(self, number):
        body = self.device.settle(ACCEPTED)
        if body is not None:
            self._confirming.append(body)

    async def reject(self, number):
        body = self.device.settle(REJECTED)
        if body is not None:
            self._confirming.append(body)

    async def release(self, number):
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
        arrived = await self._bench.telemetry(self._identity)
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
