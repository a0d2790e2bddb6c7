"""A client against a simple model of its contract, through whatever is drawn.

The client is a real one, with its supervisor, dispatcher, transport and outbox. The hub is the
local hub's core and front. They are joined in memory. The rules send, cancel, cut, refuse, renew,
restart, let a handler fail, let the heap be full and let the clock jump. The model is a list of
what was sent: each message that was accepted arrives, in order, or its sender is told of something
that has happened; each cloud-to-device message is handled.
"""

import asyncio
import contextlib
import time
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from host_tests.support.memory_connection import MemoryWriter, PieceReader
from iothub import IoTHubDeviceClient, Outbox, compat, compat_cpython, failures
from iothub.compat import unix_time
from iothub.errors import (
    ConnectionDroppedError,
    ConnectionFailedError,
    OperationCancelled,
    OperationTimeout,
)
from iothub.failures import Backoff
from iothub.net import opening
from iothub.sas import sas_token
from tools.hub.amqp.connection import Connection as AmqpFront
from tools.hub.mqtt.connection import Connection as MqttFront

FRONTS = {"mqtt": MqttFront, "amqp": AmqpFront}
PATIENCE = 10  # seconds for all to end well, once nothing is wrong any more
LIMIT = 400000  # seconds that a message may wait for its acknowledgement
MOST_C2D = 40  # fifty may wait at the hub


class Clock:
    """In place of the module time: the client's clocks, which may jump."""

    def __init__(self):
        self.ahead = 0

    gmtime = staticmethod(time.gmtime)
    time = staticmethod(time.time)

    def monotonic(self):
        return time.monotonic() + self.ahead


class Stream:
    """The client's end of a connection in memory to a front of the hub."""

    copies = False
    stage = "write"

    def __init__(self, network, front):
        self._network = network
        self._reader = PieceReader()
        self._writer = MemoryWriter(self._reader.feed)
        self._cut = False
        self._task = asyncio.create_task(front(network.core, self._reader, self._writer).run())

    async def write(self, data):
        self._network.allocate()
        if self._cut:
            raise ConnectionDroppedError("cut", "write")
        self._reader.feed(data)

    async def readinto(self, buffer):
        while not self._writer.data and not self._writer.closed and not self._cut:
            self._writer.news.clear()
            await self._writer.news.wait()
        self._network.allocate()
        data = self._writer.data
        size = 0 if self._cut else min(len(buffer), len(data))
        buffer[:size] = data[:size]
        del data[:size]
        return size

    def close(self):
        self.cut()

    def cut(self):
        """The connection is gone; what was under way to the client is lost."""
        self._cut = True
        self._writer.close()


class Network:
    """Where the client's streams come from. refuse: how many attempts fail. starve: after how
    many reads and writes the heap is full once; None: never.
    """

    def __init__(self, core, front):
        self.core = core
        self._front = front
        self.refuse = 0
        self.starve = None
        self.streams = []

    async def open_stream(self, host, port, context, timeout, proxy=None):
        if self.refuse:
            self.refuse -= 1
            raise ConnectionFailedError("refused", "tcp")
        self.streams.append(Stream(self, self._front))
        return self.streams[-1]

    def allocate(self):
        if self.starve is not None:
            self.starve -= 1
            if self.starve < 0:
                self.starve = None
                raise MemoryError

    def cut(self):
        for stream in self.streams:
            stream.cut()
        self.streams.clear()


class Contract(RuleBasedStateMachine):
    """The rules. sent: [body, task, the number of causes before it] of each message, in order. The
    task ends well once the message has arrived, or is kept. causes: what has happened that may
    make it fail, each a class of errors. lasting: what happens at some moment after its rule.
    """

    core_testbed = None  # a CoreTestbed
    transport = "mqtt"

    def __init__(self):
        super().__init__()
        self._stack = contextlib.ExitStack()
        self.sent = []
        self.causes = []
        self.lasting = set()
        self.c2d = []
        self.handled = set()
        self.fail = 0  # so many calls of the handler raise
        self.client = self.outbox = None

    @initialize(kept=st.booleans(), window=st.sampled_from([1, 3, 16]))
    def begin(self, kept, window):
        self.identity, _ = self.run_now(self.core_testbed.new_device)
        self.network = Network(self.core_testbed.core, FRONTS[self.transport])
        self.clock = Clock()
        quick = lambda: Backoff(0.001, 0.01)  # noqa: E731
        for owner, name, value in (
            (opening, "open_stream", self.network.open_stream),
            (failures, "Backoff", quick),
            (compat_cpython, "time", self.clock),
            (compat, "time", self.clock),
        ):
            self._stack.enter_context(mock.patch.object(owner, name, value))
        self.outbox = Outbox(limit=1 << 20) if kept else None  # it drops nothing
        self.window = window
        self.run_now(self.make)

    def token(self):
        key = self.identity.record["authentication"]["symmetricKey"]["primaryKey"]
        return sas_token(f"localhost/devices/{self.identity.device_id}", key, unix_time() + 3600)

    def make(self):
        client = self.client = IoTHubDeviceClient.create_from_sastoken(
            self.token(),
            transport=self.transport,
            window=self.window,
            outbox=self.outbox,
            timeout=5,
            operation_timeout=LIMIT,
        )

        def on_message(message):
            if self.fail:
                self.fail -= 1
                raise RuntimeError("the handler fails")
            self.handled.add(bytes(message.data))

        client.on_message_received = on_message
        client.on_background_exception = lambda error: None

    def run(self, coroutine):
        return self.core_testbed.run(coroutine)

    def run_now(self, function, *arguments):
        """Call a function where the event loop runs."""

        async def main():
            return function(*arguments)

        return self.run(main())

    async def turns(self, count):
        for _ in range(count):
            await asyncio.sleep(0)

    # -- the rules ---------------------------------------------------------------------------

    @rule(count=st.integers(1, 12))
    def send(self, count):
        async def main():
            for _ in range(count):
                body = b"m%d" % len(self.sent)
                task = asyncio.ensure_future(self.client.send_message(body))
                self.sent.append((body, task, len(self.causes)))
            await self.turns(3)

        self.run(main())

    @precondition(lambda self: self.sent)
    @rule(index=st.integers(0, 40))
    def cancel(self, index):
        task = self.sent[-1 - index % len(self.sent)][1]

        async def main():
            task.cancel()
            await self.turns(2)

        self.run(main())

    @rule(count=st.integers(1, 5), fail=st.integers(0, 3), turns=st.integers(0, 60))
    def send_c2d(self, count, fail, turns):
        self.fail += fail
        for _ in range(min(count, MOST_C2D - len(self.c2d))):
            self.c2d.append(b"c%d" % len(self.c2d))
            self.run_now(self.core_testbed.send_c2d, self.identity, self.c2d[-1])
        self.run(self.turns(turns))

    @rule(turns=st.integers(0, 200))
    def wait(self, turns):
        self.run(self.turns(turns))

    @rule(turns=st.integers(0, 40))
    def cut(self, turns):
        async def main():
            await self.turns(turns)
            if not self.client.connected:
                self.causes.append(ConnectionDroppedError)
            self.network.cut()
            await self.turns(5)
            assert not self.client.connected  # the end of a stream is seen at once

        self.run(main())

    @rule(count=st.integers(1, 3))
    def refuse(self, count):
        self.network.refuse = count
        self.lasting.add(ConnectionFailedError)  # a first attempt has no second one

    @rule(after=st.integers(0, 12))
    def starve(self, after):
        self.network.starve = after
        self.lasting.add(MemoryError)

    @rule(seconds=st.sampled_from([1, 30, 4000]))
    def jump(self, seconds):
        if not self.client.connected:
            self.causes.append(OperationTimeout)  # a first attempt may be under way
        self.clock.ahead += seconds

    @rule()
    def outlive(self):
        """Longer than a message may wait."""
        self.clock.ahead += 2 * LIMIT
        self.causes.append(OperationTimeout)

    @rule()
    def connect(self):
        self.run(self.attempt(self.client.connect()))

    @rule()
    def disconnect(self):
        self.causes.append(OperationCancelled)
        self.run(self.attempt(self.client.disconnect()))

    @rule()
    def renew(self):
        self.run(self.attempt(self.client.update_sastoken(self.token())))

    @rule()
    def restart(self):
        self.causes.append(OperationCancelled)
        self.run(self.attempt(self.client.shutdown()))
        self.run_now(self.make)

    async def attempt(self, operation):
        """An operation may fail; it must not hang, and it must not fail by a mistake of ours."""
        with contextlib.suppress(OSError, MemoryError, OperationCancelled):
            await asyncio.wait_for(operation, PATIENCE)

    # -- the end -----------------------------------------------------------------------------

    def teardown(self):
        with self._stack:  # what is in place of other things goes, whatever happens
            if self.client is None:
                return
            try:
                self.run(self.heal())
                self.run(self.check())
            finally:
                self.run(self.attempt(self.client.shutdown()))
                self.network.cut()

    async def heal(self):
        """Nothing is wrong any more: all that waits comes to its end."""
        self.network.refuse, self.network.starve, self.fail = 0, None, 0
        await asyncio.wait_for(self.client.connect(retry=True), PATIENCE)
        tasks = [task for _, task, _ in self.sent]
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=PATIENCE)
            assert not pending, "a message waits for ever"
        if self.transport == "mqtt":  # what a handler has failed at comes with a connection
            await self.client.disconnect()
            await self.client.connect(retry=True)
        deadline = time.monotonic() + PATIENCE
        while not self.handled.issuperset(self.c2d) or self.outbox and len(self.outbox):
            assert time.monotonic() < deadline, "a message was not handled, or is kept for ever"
            await asyncio.sleep(0.01)

    async def check(self):
        arrived = await self.core_testbed.telemetry(self.identity)
        first = {body: at for at, body in reversed(list(enumerate(arrived)))}
        known = {body for body, _, _ in self.sent}
        assert set(first) <= known
        before = -1
        for body, task, before_it in self.sent:
            if task.cancelled():
                continue
            error = task.exception()
            if error is not None:
                if getattr(error, "stage", None) == "memory":
                    error = MemoryError()
                causes = (*self.causes[before_it:], *self.lasting)
                assert isinstance(error, causes), f"{body} failed for no reason: {error!r}"
                continue
            assert body in first, f"{body} was accepted, and has not arrived"
            assert first[body] > before, f"{body} was overtaken"
            before = first[body]


def drawn(examples, steps):
    """Settings for so many plays of so many steps."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def play(testbed, transport, drawn):
    """Draw plays, as these settings say."""

    class Play(Contract):
        pass

    Play.core_testbed = testbed
    Play.transport = transport
    Play.TestCase.settings = drawn
    Play.TestCase().runTest()


@pytest.mark.parametrize("transport", ["mqtt", "amqp"])
def test_client_keeps_its_contract(hub_core, transport):
    play(hub_core, transport, drawn(15, 30))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("transport", ["mqtt", "amqp"])
def test_client_keeps_its_contract_for_long(hub_core, transport):
    play(hub_core, transport, drawn(800, 60))
