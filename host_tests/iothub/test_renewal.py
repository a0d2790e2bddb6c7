"""When a token is renewed, and what becomes of a renewal that fails; no hub, no clock."""

import asyncio

from iothub import renewal
from iothub.connection import Carrier
from iothub.options import DEFAULTS
from iothub.sas import sas_token


class Owner:
    def __init__(self):
        self.told = []

    def problem(self, error):
        self.told.append(str(error))

    def expiring(self):
        self.told.append("expiring")


class Connection(Carrier):
    """A carrier without a stream: renew() does what the test wants."""

    def __init__(self, *outcomes, ready=None):
        def signer(expiry):
            self.signed += 1
            return (ready or sas_token("h/devices/d", "A" * 43 + "=", expiry + self.signed),)

        self.signed = 0
        super().__init__(Owner(), DEFAULTS, signer)
        self._outcomes = list(outcomes)
        self.renewed = 0
        self.disturbed = 0

    def calm(self):
        self.disturbed -= 1
        return self.disturbed < 0

    async def renew(self, signed):
        outcome = self._outcomes.pop(0) if self._outcomes else None
        if outcome is not None:
            raise outcome
        self.renewed += 1

    def _fail(self, error):
        self.owner.told.append(str(error))


def run(connection, monkeypatch, life=1000):
    """Renew; the seconds that were slept meanwhile."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(renewal.asyncio, "sleep", sleep)
    asyncio.run(renewal.renew(connection, life))
    return slept


def test_due_once_between_80_and_90_percent_of_the_life():
    async def scenario():
        connection = Connection()
        connection.shown(connection.sign())
        begun, wait, life = connection._renewal
        assert life * 800 <= wait <= life * 900
        connection._renew_if_due(begun + int(wait) - 1)
        assert connection._renewing is None
        connection._renew_if_due(begun + int(wait) + 1)
        await connection._renewing
        connection._renew_if_due(begun + 3600000)
        assert connection.renewed == 1

    asyncio.run(scenario())


def test_failures_are_reported_and_tried_again(monkeypatch):
    connection = Connection(OSError("first"), OSError("second"))
    assert run(connection, monkeypatch) == [20, 20]
    assert connection.owner.told == ["first", "second"]
    assert connection.renewed == 1
    assert connection.signed == 3  # a new token each time


def test_a_busy_connection_is_left_alone_for_a_while(monkeypatch):
    connection = Connection()
    connection.disturbed = 5
    assert len(run(connection, monkeypatch)) == 5
    connection.disturbed = 10000
    slept = run(connection, monkeypatch)
    assert 49 < sum(slept) < 51
    assert connection.renewed == 2


def test_a_ready_token_is_the_programs_business(monkeypatch):
    token = sas_token("h/devices/d", "A" * 43 + "=", 1 << 31)
    connection = Connection(ready=token)
    connection.shown(connection.sign())
    run(connection, monkeypatch)
    assert connection.owner.told == ["expiring"]
    assert not connection.renewed


def test_without_memory_for_two_connections_there_is_one_after_the_other(monkeypatch):
    connection = Connection(MemoryError())
    assert run(connection, monkeypatch) == []
    assert connection.owner.told == ["token: no memory to renew the token beside it"]
