"""When a token is renewed, and what becomes of a renewal that fails; no hub, no network."""

import asyncio

from host_tests.support.tasks import failure, turns
from iothub import renewal
from iothub.compat import Future, ticks_ms, unix_time
from iothub.connection import Connection
from iothub.credentials import Credentials
from iothub.errors import ConnectionFailedError, CredentialError
from iothub.sas import sas_token

KEY = "A" * 43 + "="
RESOURCE = "h/devices/d"


def token(life=1000, resource=RESOURCE):
    return sas_token(resource, KEY, unix_time() + life)


class Protocol:
    def __init__(self):
        self.failed = []

    def fail(self, error):
        self.failed.append(error)


class Events:
    """What of a Dispatcher renewal needs."""

    def __init__(self):
        self.told = []
        self.tasks = []
        self.handlers = {"on_new_sastoken_required": lambda: self.told.append("expiring")}

    def run(self, function, *arguments):
        self.tasks.append(asyncio.create_task(function(*arguments)))

    def report(self, error):
        self.told.append(str(error))

    async def call(self, handler):
        handler()

    async def done(self):
        for task in self.tasks:
            await task


class Transport:
    """One whose renew() ends as `outcomes` say: an exception, or a Future to wait for.

    accepted: the tokens that the hub was shown, and took. at_once: how many renew() ran at once.
    """

    def __init__(self, credentials, connection, *outcomes):
        self.credentials = credentials
        self.connection = connection
        self.renewal_lock = None
        self.outcomes = list(outcomes)
        self.shown, self.accepted = [], []
        self.running = self.at_once = 0

    def token(self):
        signed = self.credentials.sign(unix_time() + 3600 + len(self.shown))
        return signed and signed[0]

    def is_open(self):
        return self.connection.state != "closed"

    async def renew(self):
        self.running += 1
        self.at_once = max(self.at_once, self.running)
        try:
            shown = self.token()
            self.shown.append(shown)
            outcome = self.outcomes.pop(0) if self.outcomes else None
            if isinstance(outcome, Future):
                await outcome
            elif outcome is not None:
                raise outcome
            self.accepted.append(shown)
            self.connection.token_accepted(shown)
        finally:
            self.running -= 1


class Supervisor:
    """attempt: a Future that an attempt under way ends with: the state after it."""

    state, attempt = "connected", None
    begun = 0

    def __init__(self, transport):
        self.transport = transport

    async def next_state(self):
        self.state = await self.attempt

    def begin(self):
        self.begun += 1


def made(*outcomes, ready=None):
    """(a Transport whose connection stands, its Connection, Events). ready: a ready token."""
    key = None if ready else KEY
    credentials = Credentials("h", "d", key=key, sastoken=ready)
    connection = Connection(Protocol(), 10, 60)
    connection.fire("accepted")
    transport = Transport(credentials, connection, *outcomes)
    connection.token_accepted(ready or token())
    return transport, connection, Events()


def due(connection, seconds_late=0):
    """Let the token of a Connection be due, since so many seconds."""
    since, after = connection.renewal
    connection.renewal = ticks_ms() - int(after) - 1 - seconds_late * 1000, after
    assert connection.renewal_due(ticks_ms())


def on_loop(main):
    return asyncio.run(asyncio.wait_for(main(), 10))


# -- by itself ----------------------------------------------------------------------------------


def test_token_is_renewed_once_it_is_due():
    async def main():
        transport, connection, events = made()
        before = connection.token
        due(connection)
        renewal.begin(transport, connection, events, True)
        assert not connection.renewal_due(ticks_ms() + 3600000)  # it is not begun twice
        await events.done()
        assert transport.accepted == [connection.token]
        assert connection.token != before
        assert 2880000 <= connection.renewal[1] < 3242000  # 80 to 90 % of the new one's hour
        assert not connection.renewal_due(ticks_ms())
        assert events.told == []

    on_loop(main)


def test_renewal_is_put_off_while_the_client_is_busy_but_not_for_ever():
    async def main():
        transport, connection, events = made()
        for late in (0, 1, 48):  # seconds; a twentieth of its life is 50
            due(connection, late)
            renewal.begin(transport, connection, events, False)
            assert events.tasks == []
            assert connection.renewal_due(ticks_ms())
        due(connection, 51)
        renewal.begin(transport, connection, events, False)
        await events.done()
        assert len(transport.accepted) == 1

    on_loop(main)


def test_failures_are_reported_and_tried_again():
    async def main():
        refusal = CredentialError("no", "connack", 5)
        transport, connection, events = made(OSError("first"), refusal)
        before = connection.token
        for count in (1, 2):
            due(connection)
            renewal.begin(transport, connection, events, True)
            await turns()
            assert len(events.told) == count
            # After a fiftieth of its life.
            assert connection.renewal[1] == connection.token_life * 20
            assert connection.token is before
            assert connection.state != "closed"
        due(connection)
        renewal.begin(transport, connection, events, True)
        await events.done()
        assert events.told == ["first", str(refusal)]
        assert len(transport.shown) == len(set(transport.shown)) == 3  # a new token each time
        assert connection.token is transport.accepted[0]

    on_loop(main)


def test_failure_of_a_short_token_is_not_tried_again_at_once():
    async def main():
        transport, connection, events = made(OSError("first"))
        connection.token_accepted(token(5))
        due(connection)
        renewal.begin(transport, connection, events, True)
        await events.done()
        assert connection.renewal[1] == 1000

    on_loop(main)


def test_ready_token_is_the_programs_business():
    async def main():
        transport, connection, events = made(ready=token())
        due(connection)
        renewal.begin(transport, connection, events, True)
        await events.done()
        await turns()
        assert events.told == ["expiring"]
        assert transport.shown == []
        assert connection.renewal is None  # it is asked for once

    on_loop(main)


def test_program_that_fails_to_bring_a_token_is_asked_again():
    async def main():
        def fail():
            raise OSError("no answer from the token server")

        transport, connection, events = made(ready=token())
        handler = events.handlers["on_new_sastoken_required"]
        events.handlers["on_new_sastoken_required"] = fail
        due(connection)
        renewal.begin(transport, connection, events, True)
        await turns()
        await events.done()
        assert events.told == ["no answer from the token server"]
        assert connection.renewal[1] == connection.token_life * 20
        events.handlers["on_new_sastoken_required"] = handler
        due(connection)
        renewal.begin(transport, connection, events, True)
        await turns()
        await events.done()
        assert events.told[1:] == ["expiring"]

    on_loop(main)


def test_without_memory_for_two_connections_there_is_one_after_the_other():
    async def main():
        transport, connection, events = made(MemoryError())
        due(connection)
        renewal.begin(transport, connection, events, True)
        await events.done()
        error = connection.closed.value
        assert str(error) == "token: no memory to renew the token beside it"
        assert isinstance(error, OSError)
        assert events.told == []

    on_loop(main)


def test_connection_that_is_gone_meanwhile_renews_nothing():
    async def main():
        transport, connection, events = made()
        due(connection)
        renewal.begin(transport, connection, events, True)
        connection.abort(OSError("gone"))
        await events.done()
        assert transport.shown == []
        assert events.told == []

    on_loop(main)


# -- update_sastoken() --------------------------------------------------------------------------


def update(transport, sastoken, state="connected", attempt=None):
    supervisor = Supervisor(transport)
    supervisor.state, supervisor.attempt = state, attempt
    return asyncio.create_task(renewal.update_sastoken(supervisor, sastoken))


def test_update_returns_once_the_hub_has_accepted_the_token():
    async def main():
        gate, first, second = Future(), token(1000), token(2000)
        transport, connection, _ = made(gate, ready=first)
        task = update(transport, second)
        await turns()
        assert not task.done()
        assert transport.shown == [second]
        gate.set_result()
        await task
        assert transport.accepted == [second]
        assert transport.credentials.sastoken == second
        assert connection.token is second

    on_loop(main)


def test_concurrent_updates_return_each_once_its_token_is_accepted():
    async def main():
        gates = [Future(), Future()]
        first, second, third = token(1000), token(2000), token(3000)
        transport, connection, _ = made(*gates, ready=first)
        tasks = [update(transport, second), update(transport, third)]
        await turns()
        assert transport.shown == [second]
        gates[0].set_result()
        await tasks[0]
        await turns()
        assert transport.shown == [second, third]
        assert not tasks[1].done()  # the hub has accepted another one
        gates[1].set_result()
        await tasks[1]
        assert transport.accepted == [second, third]
        assert transport.at_once == 1
        assert connection.token is third
        assert transport.credentials.sastoken == third

    on_loop(main)


def test_refused_token_is_taken_back():
    async def main():
        first, second, third = token(1000), token(2000), token(3000)
        refusal = CredentialError("no", "connack", 5)
        transport, connection, _ = made(refusal, ready=first)
        tasks = [update(transport, second), update(transport, third)]
        assert await failure(tasks[0]) is refusal
        await tasks[1]
        assert transport.credentials.sastoken == third
        transport.outcomes = [refusal]
        assert await failure(update(transport, second)) is refusal
        assert transport.credentials.sastoken == third
        assert connection.token is third
        assert connection.state != "closed"

    on_loop(main)


def test_update_that_the_network_fails_is_used_with_the_next_connection():
    async def main():
        first, second = token(1000), token(2000)
        error = ConnectionFailedError("refused", "tcp")
        transport, connection, _ = made(error, ready=first)
        assert await failure(update(transport, second)) is error
        assert transport.credentials.sastoken == second
        assert connection.token is first

    on_loop(main)


def test_update_without_a_connection_is_used_with_the_next_one():
    async def main():
        first, second = token(1000), token(2000)
        for state in ("disconnected", "waiting", "stopping"):
            transport, connection, _ = made(ready=first)
            if state == "disconnected":
                connection.abort(OSError("gone"))
            await update(transport, second, state)
            assert transport.shown == [], state
            assert transport.credentials.sastoken == second

    on_loop(main)


def test_update_of_a_token_that_has_ended_connects_at_once():
    async def main():
        valid, ended, over = token(1000), token(-1), token(-2)
        for state, first, second, begun in (
            ("waiting", ended, valid, 1),
            ("waiting", valid, token(2000), 0),  # the token was not in the way
            ("waiting", over, ended, 0),  # or nothing would delay the attempts
            ("disconnected", ended, valid, 0),
        ):
            transport, connection, _ = made(ready=valid)
            transport.credentials.sastoken = first
            connection.abort(OSError("gone"))
            supervisor = Supervisor(transport)
            supervisor.state = state
            await renewal.update_sastoken(supervisor, second)
            assert supervisor.begun == begun, state
            assert transport.credentials.sastoken == second
            assert transport.shown == []

    on_loop(main)


def test_update_during_an_attempt_is_shown_after_it():
    """The attempt may have shown the token before."""

    async def main():
        first, second = token(1000), token(2000)
        for after, shown in (("connected", [second]), ("waiting", [])):
            attempt = Future()
            transport, _, _ = made(ready=first)
            task = update(transport, second, "connecting", attempt)
            await turns()
            assert not task.done()
            assert transport.shown == []
            attempt.set_result(after)
            await task
            assert transport.shown == shown

    on_loop(main)


def test_update_waits_for_a_renewal_and_the_other_way_round():
    async def main():
        gate, first, second = Future(), token(1000), token(2000)
        transport, connection, events = made(gate, ready=first)
        task = update(transport, second)
        await turns()
        connection.renewal = ticks_ms() - 10, 5
        renewal.begin(transport, connection, events, True)  # it is due, in the meantime
        await turns()
        gate.set_result()
        await task
        await events.done()
        assert transport.shown == [second]
        assert events.told == []  # update_sastoken() was faster

    on_loop(main)


def test_cancelled_update_lets_the_next_one_go_on():
    async def main():
        first, second, third = token(1000), token(2000), token(3000)
        transport, _, _ = made(Future(), ready=first)
        tasks = [update(transport, second), update(transport, third)]
        await turns()
        tasks[0].cancel()
        try:
            await tasks[0]
        except asyncio.CancelledError:
            pass
        await tasks[1]
        assert transport.accepted == [third]

    on_loop(main)


def test_mistakes():
    async def main():
        transport, _, _ = made()
        error = await failure(update(transport, token()))
        assert isinstance(error, ValueError)
        assert "makes its own tokens" in str(error)
        transport, _, _ = made(ready=token())
        for wrong in ("nonsense", token(resource="h/devices/other"), token(resource="h")):
            error = await failure(update(transport, wrong))
            assert isinstance(error, ValueError)
            assert wrong not in str(error)
        assert transport.shown == []

    on_loop(main)
