"""iothub.health: what a client says of itself, and whether it keeps its own deadlines."""

import asyncio

from host_tests.support.tasks import until
from iothub.compat import uptime
from iothub.health import Deadlines, Health, describe, snapshot


class Client:
    connected = True

    def __init__(self, **status):
        self._status = {
            "state": "connected",
            "connections": 1,
            "losses": {},
            "roundTrip": None,
            "waiting": 0,
            "handled": 3,
            "dropped": 0,
            "timeout": 20,
            "lastTick": 0,
            "connectingSince": None,
        }
        self._status.update(status)
        self.reported, self.problems, self.error = [], [], None

    def status(self):
        return dict(self._status)

    def report_error(self, error):
        self.problems.append(error)

    async def patch_twin_reported_properties(self, patch):
        if self.error is not None:
            raise self.error
        self.reported.append(patch)


def test_description_names_what_is_worth_naming():
    quiet = Client().status()
    assert describe("Client d", quiet) == "<Client d: connected>"
    busy = Client(waiting=2, roundTrip=35, connections=4, heapLow=20480).status()
    assert describe("Client d", busy) == (
        "<Client d: connected, 2 waiting, round trip 35 ms, reconnects 3, heap low 20 KB>"
    )


def test_snapshot_leaves_out_what_only_the_watchdog_needs():
    found = snapshot(Client())
    assert sorted(found) == ["connections", "dropped", "losses", "roundTrip", "waiting"]


def test_deadlines_that_are_kept_and_missed():
    for status, missed in (
        ({}, None),
        ({"lastTick": None}, None),
        ({"lastTick": 30}, None),
        ({"lastTick": 31}, "keep-alive"),
        ({"connectingSince": 210}, None),
        ({"connectingSince": 211}, "connect"),
    ):
        assert Deadlines(Client(**status)).missed() == missed, status


def test_report_is_made_once_in_a_while():
    async def main():
        client = Client()
        health = Health(client, reset_cause="power on")
        assert await health.report()
        assert not await health.report()
        (patch,) = client.reported
        assert patch["health"]["resetCause"] == "power on"
        assert abs(patch["health"]["uptime"] - uptime()) <= 1

    asyncio.run(main())


def test_failure_to_report_is_told_and_tried_again():
    async def main():
        client = Client()
        client.error = OSError("no")
        task = asyncio.create_task(Health(client, every=0.01).run())
        await until(lambda: len(client.problems) >= 2)
        client.error = None
        await until(lambda: client.reported)
        task.cancel()

    asyncio.run(asyncio.wait_for(main(), 10))
