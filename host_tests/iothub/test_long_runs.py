"""Weeks and months of a client, in the time of a fake clock: 30-bit ticks wrap after 12 days."""

import asyncio

from host_tests.support import fake_clock  # before the library; isort: split
from host_tests.support.memory_mqtt import MQTTHubStream
from host_tests.support.raises import raises
from host_tests.support.tasks import failure, turns
from iothub import IoTHubDeviceClient, errors, log
from iothub.compat import Future, as_coroutine, ticks_ms, unix_time, uptime, wait_for
from iothub.connection import Connection
from iothub.errors import ConnectionFailedError
from iothub.health import Deadlines, Health
from iothub.mqtt import transport as module
from iothub.options import checked
from iothub.sas import sas_token

KEY = "A" * 43 + "="
TEXT = "HostName=h;DeviceId=d;SharedAccessKey=" + KEY
HOUR = 3600
DAY = 24 * HOUR
LIFE = 30 * DAY


class Scene:
    """A client with a hub in memory. away: no hub answers. hubs: those that were dialled. stages:
    of the last errors.
    """

    def __init__(self, **options):
        self.hubs, self.stages, self.away = [], [], False
        self.client = IoTHubDeviceClient.create_from_connection_string(TEXT, **options)
        self.client.on_background_exception = self._on_error

    def _on_error(self, error):
        self.stages = self.stages[-9:] + [error.stage]

    async def dial(self, *_arguments):
        if self.away:
            raise ConnectionFailedError("no network", "tcp")
        self.hubs.append(MQTTHubStream(present=bool(self.hubs)))
        return self.hubs[-1]

    def lost(self):
        self.hubs[-1].end()

    def reports(self):
        """How many health reports the hubs have."""
        told = [one for hub in self.hubs for one in hub.heard if one[0] == "publish"]
        return len([one for one in told if b'"health"' in one[2]])


def scene(test, step=0, **options):
    async def main():
        one = Scene(**options)
        original, module.dial = module.dial, one.dial
        try:
            await test(one)
            await one.client.shutdown()
        finally:
            module.dial = original

    fake_clock.run(main, step=step)


async def until(condition, within, pause=0.5):
    """Wait until condition() holds, at most so many fake seconds."""
    end = fake_clock.now() + within
    while not condition():
        assert fake_clock.now() < end, f"not within {within} s"
        await asyncio.sleep(pause)


# -- the clock itself ---------------------------------------------------------------------------


def test_ticks_wrap_and_waits_cost_nothing():
    async def main():
        seen, since = [], ticks_ms()
        for _ in range(30):
            await asyncio.sleep(DAY)
            seen.append(ticks_ms())
        assert max(seen + [since]) < 2**30
        assert [a > b for a, b in zip(seen, seen[1:])].count(True) >= 2  # noqa: B905
        error = await failure(wait_for(as_coroutine(Future()), 15, "x"))
        assert isinstance(error, errors.OperationTimeout)

    began = fake_clock.now()
    fake_clock.run(main)
    assert 30 * DAY + 15 <= fake_clock.now() - began < 30 * DAY + 16


def test_uptime_is_right_for_months_and_whatever_the_clock_is_set_to():
    async def main():
        began, since = uptime(), fake_clock.now()
        for wait in [0.3, 0.9, 0.9, 1, 59.99] + [6 * DAY, 7 * DAY, 12 * DAY] * 10:
            await asyncio.sleep(wait / 2)
            fake_clock.jump(wait - wait / 2)
            fake_clock.set_time(unix_time() + 10**8)
            assert abs(uptime() - began - (fake_clock.now() - since)) <= 1

    fake_clock.run(main)


# -- offline ------------------------------------------------------------------------------------


def test_health_is_reported_once_the_network_is_back_after_any_time():
    async def test(one):
        client = one.client
        await client.connect()
        asyncio.create_task(Health(client).run())
        for count, days in enumerate((1, 6, 7, 9, 12, 13, 20, 90), 1):
            await until(lambda: one.reports() == count, 2 * HOUR)  # noqa: B023
            one.away = True
            one.lost()
            for _ in range(days):
                await asyncio.sleep(DAY)  # a board's asyncio cannot wait for a week
            assert not client.connected
            assert Deadlines(client).missed() is None
            one.away = False
            await until(lambda: client.connected, 4 * HOUR)

    scene(test, step=HOUR / 2, timeout=HOUR, keep_alive=1177)


def test_log_lines_have_their_time_after_months():
    lines = []

    async def main():
        log.on("info", lines.append)
        began = fake_clock.now()
        try:
            for days in (1, 6, 7, 30, 90):
                while fake_clock.now() < began + days * DAY + 0.25:
                    await asyncio.sleep(min(DAY, began + days * DAY + 0.25 - fake_clock.now()))
                    uptime()  # a client asks it once a second
                errors.logger(20, "x", str(days))
        finally:
            log.off()

    fake_clock.run(main)
    for line in lines:
        seconds, _, _, days = line.split()
        assert seconds[:-3] == f"{int(days) * DAY}.", line
        assert 250 <= int(seconds[-3:]) < 260, line
    assert len(lines) == 5


# -- online -------------------------------------------------------------------------------------


def test_connection_stands_for_weeks():
    async def test(one):
        client = one.client
        await client.connect()
        asyncio.create_task(Health(client, every=DAY).run())
        for day in range(15):
            await asyncio.sleep(DAY)
            await client.send_message(str(day))
            status = client.status()
            assert 0 <= status["lastTick"] <= 61, status
            assert status["connectingSince"] is None
            assert Deadlines(client).missed() is None
            assert client.connected
        assert one.stages == []
        (hub,) = one.hubs
        assert len(hub.telemetry()) == 15
        assert 14 <= one.reports() <= 16
        assert hub.kinds().count("pingreq") > 15 * DAY // 1177

    scene(test, step=60, timeout=400, keep_alive=1177, sastoken_ttl=LIFE)


def test_token_of_a_month_is_renewed_near_its_end():
    async def main():
        connection = Connection(None, 10, 60)
        connection.token_accepted(sas_token("h/devices/d", KEY, unix_time() + LIFE))
        began = fake_clock.now()
        await until(lambda: connection.renewal_due(ticks_ms()), LIFE, HOUR)
        assert 0.8 * LIFE - HOUR <= fake_clock.now() - began <= 0.9 * LIFE + HOUR
        await asyncio.sleep(HOUR)
        assert connection.renewal_due(ticks_ms())

    for _ in range(5):
        fake_clock.run(main)


def test_token_of_a_year_is_not_renewed_within_months():
    async def main():
        connection = Connection(None, 10, 60)
        connection.token_accepted(sas_token("h/devices/d", KEY, unix_time() + 365 * DAY))
        for _ in range(280 * 4):
            await asyncio.sleep(6 * HOUR)
            assert not connection.renewal_due(ticks_ms())
        await until(lambda: connection.renewal_due(ticks_ms()), 50 * DAY, DAY)

    fake_clock.run(main)


def test_clock_that_is_set_does_not_make_a_short_connection_a_long_one():
    async def test(one):
        fake_clock.set_time(946684800)  # a board starts in 2000
        client = one.client
        await client.connect()
        for count in (2, 3, 4):
            fake_clock.set_time(unix_time() + 10**8)
            one.lost()
            await until(lambda: client.connected and len(one.hubs) == count, 70)  # noqa: B023
        assert one.stages == ["read", "read", "read", "identity"]

    wall = unix_time()
    scene(test)
    fake_clock.set_time(wall)


# -- asleep -------------------------------------------------------------------------------------


def test_connection_is_made_again_after_days_of_sleep():
    async def test(one):
        client = one.client
        await client.connect()
        asyncio.create_task(Health(client).run())
        for count, days in enumerate((1, 3, 6, 6, 6), 1):
            await until(lambda: one.reports() == count, 60)  # noqa: B023
            hub = one.hubs[-1]
            hub.silent.add("pingresp")  # the hub has gone meanwhile
            fake_clock.jump(days * DAY)
            await until(lambda: one.hubs[-1] is not hub and client.connected, 200)  # noqa: B023
            assert Deadlines(client).missed() is None

    scene(test)


# -- options ------------------------------------------------------------------------------------


def test_deadlines_that_ticks_cannot_tell_are_refused():
    for name in ("timeout", "operation_timeout", "handler_timeout"):
        assert checked({name: 400000})[name] == 400000
        error = raises(ValueError, lambda: checked({name: 400001}))  # noqa: B023
        assert str(error) == name + " is more than 400000 s"


def test_longest_deadline_is_kept():
    async def test(one):
        client = one.client
        await client.connect()
        one.hubs[-1].silent.add("puback")
        one.away = True
        sending = asyncio.create_task(failure(client.send_message("a")))
        await turns()
        one.lost()
        began = fake_clock.now()
        error = await sending
        assert 400000 <= fake_clock.now() - began <= 400000 + 2 * HOUR
        assert isinstance(error, errors.OperationTimeout)
        assert error.stage == "puback"

    scene(test, step=HOUR / 2, operation_timeout=400000, timeout=HOUR, keep_alive=1177)
