"""The client's MQTT protocol and the hub's MQTT front, joined in memory: telemetry and C2D
messages in any order, through any cuts of the stream, and through lost connections.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.support.memory_connection import MemoryConnection
from iothub.errors import ConnectionDroppedError
from iothub.mqtt.protocol import MQTTProtocol
from iothub.pending import Pending
from tools.hub.mqtt.connection import Connection

WINDOW = 4
MOST_CUTS = 8  # the hub delivers a message ten times at most
MOST_C2D = 40  # and fifty may wait


class Device:
    """The client's protocol; this class alone depends on its interface."""

    def __init__(self, device_id, token):
        self._identity = device_id, f"localhost/{device_id}/?api-version=2021-04-12"
        self._token = token
        self._events = f"devices/{device_id}/messages/events/".encode()
        self._filter = f"devices/{device_id}/messages/devicebound/#"
        self._pending = Pending(1 << 30, WINDOW, "puback")
        self._protocol = None
        self._suback = None
        self._unacknowledged = []  # Deliveries of telemetry, oldest first
        self.acknowledged = []  # bodies of telemetry, in the order of their PUBACKs
        self.received = []  # bodies of C2D messages
        self.receipts = []  # (body, receipt) of C2D messages that are not acknowledged

    def connect(self):
        """Begin a new connection; the one before has ended."""
        if self._protocol is not None:
            self._protocol.fail(ConnectionDroppedError("the test ended it", "read"))
        self.receipts = []
        self._protocol = MQTTProtocol(self, self._pending, *self._identity)
        self._protocol.connect(self._token)

    def subscribe(self):
        self._suback = self._protocol.subscribe(self._filter)

    def publish(self, body, qos):
        if qos:
            self._unacknowledged.append(self._pending.add(self._events, body, 0))
        else:
            self._protocol.publish(self._events, body)

    def acknowledge(self):
        """Acknowledge the oldest C2D message: its body, or None."""
        if not self.receipts:
            return None
        body, (protocol, puback) = self.receipts.pop(0)
        protocol.acknowledge(puback)
        return body

    @property
    def connected(self):
        """Whether CONNACK has come; an exception when it refuses."""
        accepted = self._protocol.accepted
        assert accepted.error is None
        return accepted.done()

    @property
    def waiting(self):
        """Whether an answer of the hub is still due."""
        return not self.connected or not self._suback.done() or bool(self._unacknowledged)

    def take(self):
        data = bytearray()
        while self._protocol.pump():
            data += self._protocol.take()
        return data

    def feed(self, data):
        self._protocol.feed(data)
        done = [delivery for delivery in self._unacknowledged if delivery.done()]
        self.acknowledged += [delivery.body for delivery in done]
        self._unacknowledged = [one for one in self._unacknowledged if not one.done()]

    def on_publish(self, topic, payload, receipt):
        """Called by the protocol."""
        self.received.append(bytes(payload))
        self.receipts.append((bytes(payload), receipt))

    def on_oversized(self, topic, size):
        raise AssertionError("nothing here is so large")


class Story:
    """The steps of one device, with a record of all messages, and the checks at the end."""

    def __init__(self, testbed, cuts):
        self._testbed = testbed
        self._cuts = cuts
        self._identity, token = testbed.new_device()
        self.device = Device(self._identity.device_id, token)
        self._connection = None
        self._lost = 0
        self._done = set()  # C2D messages that the hub knows to be acknowledged
        self._confirming = []  # those that were acknowledged on this connection
        self.published = {0: [], 1: []}  # bodies by QoS
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
        await self._connection.until(lambda: self.device.connected)
        self.device.subscribe()

    # -- the steps

    async def publish(self, number):
        """Publish up to two windows of messages at once."""
        for _ in range(1 + number % (2 * WINDOW)):
            qos = 0 if number > 50 else 1
            body = b"%d " % sum(map(len, self.published.values())) + b"x" * (number * 7)
            self.published[qos].append(body)
            self.device.publish(body, qos)

    async def c2d(self, number):
        for _ in range(min(1 + number % 5, MOST_C2D - len(self.sent))):
            self.sent.append(b"%d " % len(self.sent) + b"y" * (number * 5))
            self._testbed.send_c2d(self._identity, self.sent[-1])

    async def acknowledge(self, number):
        if not self.device.receipts and len(self._identity.queue):
            await self.settle(0)
        body = self.device.acknowledge()
        if body is not None:
            self._confirming.append(body)

    async def exchange(self, number):
        self._connection.exchange()

    async def settle(self, number):
        """Exchange until the hub has answered everything; then it has read the PUBACKs, too."""
        await self.publish(0)
        await self._connection.until(lambda: not self.device.waiting)
        self._done.update(self._confirming)

    async def cut(self, number):
        if self._lost < MOST_CUTS:
            self._lost += 1
            self._connection.lose(number * 11, number * 5)
            await self._connection.__aexit__()
            before = len(self.device.received)
            await self.connect()
            if number % 2:
                await self.settle(number)
                again = self.device.received[before:]
                assert not self._done & set(again), "it was acknowledged"

    async def finish(self):
        """Acknowledge all C2D messages, then check both sides."""
        await self.settle(0)
        while len(set(self.device.received)) < len(self.sent) or self.device.receipts:
            while self.device.receipts:
                await self.acknowledge(0)
            await self._connection.until(
                lambda: self.device.receipts or len(set(self.device.received)) == len(self.sent)
            )
        await self.settle(0)
        assert list(dict.fromkeys(self.device.received)) == self.sent
        assert len(self._identity.queue) == 0
        assert self.device.acknowledged == self.published[1]
        arrived = await self._testbed.telemetry(self._identity)
        once = list(dict.fromkeys(arrived))
        assert [body for body in once if body in self.published[1]] == self.published[1]
        unacknowledged = [body for body in arrived if body in self.published[0]]
        assert unacknowledged == [body for body in self.published[0] if body in arrived]
        if not self._lost:
            assert len(arrived) == len(self.published[0]) + len(self.published[1])
            assert len(self.device.received) == len(self.sent)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "c2d", "acknowledge", "exchange", "settle", "cut"]),
        st.integers(0, 60),
    ),
    min_size=5,
    max_size=40,
)


@settings(max_examples=60)
@given(STEPS, st.lists(st.integers(1, 200), min_size=1, max_size=6))
def test_nothing_is_lost_between_client_and_hub(core_testbed, steps, cuts):
    async def scenario():
        async with Story(core_testbed, cuts) as story:
            await story.connect()
            for name, number in steps:
                await getattr(story, name)(number)
            await story.finish()

    core_testbed.run(scenario())
