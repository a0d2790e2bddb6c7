"""`client.connected` is never True for long after the connection is gone, whatever is drawn.

A hub in memory falls silent at some moment: what is written goes nowhere, or is not taken at all,
or is heard and not answered. Messages, refused attempts, a full heap and a clock that is set come
in between. The clock is a fake one, so hours take no time.
"""

import asyncio
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host_tests.support import fake_clock  # before the library; isort: split
from host_tests.support.memory_amqp import AMQPHubStream
from host_tests.support.memory_mqtt import MQTTHubStream
from iothub import IoTHubDeviceClient
from iothub.amqp import transport as amqp
from iothub.errors import ConnectionFailedError
from iothub.mqtt import transport as mqtt

TEXT = "HostName=h;DeviceId=d;SharedAccessKey=" + "A" * 43 + "="
HUBS = {"mqtt": (mqtt, MQTTHubStream), "amqp": (amqp, AMQPHubStream)}
SLACK = 3  # seconds: the ticker looks once a second


def silent(hub_class):
    """A hub of that class which can fall silent, or lack heap."""

    class Silent(hub_class):
        gone = None  # how, once it is
        since = 0
        starve = False

        def fall_silent(self, how):
            self.gone, self.since = how, fake_clock.now()
            if how == "blocked":
                self.block()

        def send(self, data):
            if self.gone is None:
                super().send(data)

        async def write(self, data):
            self._allocate()
            if self.gone != "lost":
                await super().write(data)

        async def readinto(self, buffer):
            size = await super().readinto(buffer)
            self._allocate()
            return size

        def _allocate(self):
            if self.starve:
                self.starve = False
                raise MemoryError

    return Silent


class Play:
    """A client, and the hubs that it has dialled; away: no hub answers."""

    def __init__(self, transport, keep_alive):
        self.hubs, self.away = [], False
        self._module, hub_class = HUBS[transport]
        self._hub_class = silent(hub_class)
        self.keep_alive = keep_alive
        self.client = IoTHubDeviceClient.create_from_connection_string(
            TEXT, transport=transport, keep_alive=keep_alive, operation_timeout=2 * keep_alive
        )
        self.client.on_background_exception = lambda error: None
        self.client.on_message_received = lambda message: None
        self.longest = 0.0  # seconds for which it has said "connected" of a dead connection

    async def dial(self, *_arguments):
        if self.away:
            raise ConnectionFailedError("no network", "tcp")
        self.hubs.append(self._hub_class())
        return self.hubs[-1]

    async def run(self, steps):
        with mock.patch.object(self._module, "dial", self.dial):
            await self.client.connect()
            watching = asyncio.create_task(self.watch())
            for wait, action, detail in steps:
                await asyncio.sleep(wait * self.keep_alive)
                getattr(self, action)(detail)
            await asyncio.sleep(3 * self.keep_alive)
            watching.cancel()
            await self.client.shutdown()

    async def watch(self):
        while True:
            await asyncio.sleep(0.5)
            hub = self.hubs[-1]
            if self.client.connected and hub.gone is not None:
                self.longest = max(self.longest, fake_clock.now() - hub.since)

    # -- what may happen ----------------------------------------------------------------------

    def fall_silent(self, how):
        if self.hubs[-1].gone is None:
            self.hubs[-1].fall_silent(how)

    def send(self, _):
        task = asyncio.ensure_future(self.client.send_message("x"))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def starve(self, _):
        self.hubs[-1].starve = True

    def network(self, is_there):
        self.away = not is_there

    def set_clock(self, seconds):
        fake_clock.set_time(1.8e9 + seconds)


ACTIONS = st.one_of(
    st.tuples(st.just("fall_silent"), st.sampled_from(["lost", "blocked", "unanswered"])),
    st.tuples(st.just("send"), st.none()),
    st.tuples(st.just("starve"), st.none()),
    st.tuples(st.just("network"), st.booleans()),
    st.tuples(st.just("set_clock"), st.sampled_from([-1e9, -10, 10, 1e8])),
)
STEPS = st.lists(
    st.tuples(st.floats(0, 1.5), ACTIONS).map(lambda step: (step[0], *step[1])), max_size=12
)


def play_all(transport, examples):
    """Draw so many plays: the longest that one was connected in vain, in times of keep-alive."""
    longest = [0.0]

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(keep_alive=st.sampled_from([4, 10, 60, 240, 1177]), steps=STEPS)
    def play(keep_alive, steps):
        one = []

        async def main():
            one.append(Play(transport, keep_alive))
            await one[0].run(steps)

        fake_clock.run(main)
        assert one[0].longest <= 1.5 * keep_alive + SLACK
        longest[0] = max(longest[0], one[0].longest / keep_alive)

    play()
    return longest[0]


@pytest.mark.parametrize("transport", ["mqtt", "amqp"])
def test_connection_that_is_gone_is_noticed_within_one_and_a_half_keep_alives(transport):
    assert play_all(transport, 15) > 0.2  # connections were gone


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("transport", ["mqtt", "amqp"])
def test_connection_that_is_gone_is_noticed_for_long(transport):
    print("connected in vain:", play_all(transport, 600), "× keep-alive")
