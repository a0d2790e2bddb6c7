"""iothub.supervisor with a transport that does what the test says: who connects, and when."""

import asyncio

from host_tests.support.fake_transport import FakeTransport
from host_tests.support.tasks import cancel, failure, turns, until
from host_tests.support.transitions import drive
from iothub import supervisor as module
from iothub.compat import Future, unix_time, uptime
from iothub.credentials import Credentials
from iothub.dispatcher import Dispatcher
from iothub.errors import (
    ConnectionDroppedError,
    ConnectionFailedError,
    CredentialError,
    NoConnectionError,
    OperationCancelled,
    OperationTimeout,
)
from iothub.failures import Backoff
from iothub.options import checked
from iothub.renewal import update_sastoken
from iothub.sas import sas_token
from iothub.supervisor import Supervisor

DISCONNECTED, CONNECTING, CONNECTED = "disconnected", "connecting", "connected"
WAITING, STOPPING, CLOSED = "waiting", "stopping", "closed"


class Outbox:
    def __init__(self):
        self.states = []

    def on_state(self, state):
        self.states.append(state)


class Scene:
    def __init__(self, **options):
        self.options = checked(options)
        self.transport = FakeTransport()
        self.dispatcher = Dispatcher(self.options)
        self.dispatcher.transport = self.transport
        self.problems, self.states = [], []
        self.dispatcher.set_handler("on_background_exception", self.problems.append)
        self.dispatcher.set_handler(
            "on_connection_state_change", lambda: self.states.append(self.supervisor.state)
        )
        self.outbox = Outbox()
        self.supervisor = Supervisor(self.transport, self.dispatcher, self.outbox, self.options)

    @property
    def state(self):
        return self.supervisor.state

    def connect(self, retry=False):
        return asyncio.create_task(self.supervisor.connect(retry))

    async def connected(self):
        await self.supervisor.connect()
        assert self.state == CONNECTED
        return self


def scene(test, **options):
    """Run test(Scene); nothing of it may be left then."""

    async def main():
        one = Scene(**options)
        await test(one)
        await one.supervisor.stop()
        assert one.state in (DISCONNECTED, CLOSED)
        assert one.transport.opening == 0
        assert one.supervisor.connecting_since is None
        await until(lambda: one.supervisor.last_tick is None)  # no ticker runs on

    asyncio.run(asyncio.wait_for(main(), 30))


# -- the states ---------------------------------------------------------------------------------

# One way to each state.
PATHS = {
    DISCONNECTED: (),
    CONNECTING: ("connect",),
    CONNECTED: ("connect", "accepted"),
    WAITING: ("connect", "retry"),
    STOPPING: ("disconnect",),
    CLOSED: ("shutdown",),
}


def test_every_pair_of_state_and_event():
    def in_state(state):
        made = Scene().supervisor
        for event in PATHS[state]:
            made.fire(event)
        return made

    async def main():
        reached = drive(module, in_state)
        assert reached == {
            ("connect", DISCONNECTED): CONNECTING,
            ("connect", WAITING): CONNECTING,
            ("accepted", CONNECTING): CONNECTED,
            ("give-up", CONNECTING): DISCONNECTED,
            ("give-up", CONNECTED): DISCONNECTED,
            ("retry", CONNECTING): WAITING,
            ("retry", CONNECTED): WAITING,
            ("timer", WAITING): CONNECTING,
            ("disconnect", DISCONNECTED): STOPPING,
            ("disconnect", CONNECTING): STOPPING,
            ("disconnect", CONNECTED): STOPPING,
            ("disconnect", WAITING): STOPPING,
            ("stopped", STOPPING): DISCONNECTED,
            ("shutdown", DISCONNECTED): CLOSED,
            ("shutdown", CLOSED): CLOSED,
        }

    asyncio.run(main())


# -- connect and disconnect ---------------------------------------------------------------------


def test_connect_and_disconnect():
    async def test(one):
        task = one.connect()
        await turns(1)
        assert one.state == CONNECTING
        assert one.supervisor.connecting_since is not None
        await task
        assert one.state == CONNECTED
        assert one.supervisor.connecting_since is None
        assert one.supervisor.connections == one.transport.opened == 1
        await one.supervisor.connect()  # nothing more to do
        assert one.transport.opened == 1
        await one.supervisor.stop()
        assert one.state == DISCONNECTED
        assert one.transport.calls[0] == "close" and one.transport.calls[1][0] == "fail"
        await one.supervisor.stop()
        assert len(one.transport.calls) == 2
        await turns()
        assert one.states in ([CONNECTED, STOPPING], [CONNECTED, DISCONNECTED])
        assert one.problems == []
        assert one.outbox.states == [CONNECTING, CONNECTED, STOPPING, DISCONNECTED]

    scene(test)


def test_connect_disconnect_connect_in_quick_succession():
    async def test(one):
        one.transport.cancel_takes = 5
        one.transport.outcomes = [Future()]  # the first attempt hangs
        first = one.connect()
        await turns(3)
        stopping = asyncio.create_task(one.supervisor.stop())
        second = one.connect()
        error = await failure(first)
        assert isinstance(error, OperationCancelled)
        await second
        await stopping
        assert one.state == CONNECTED
        assert one.transport.most == 1
        assert one.transport.opened == one.supervisor.connections == 1
        assert one.problems == []

    scene(test)


def test_connect_and_disconnect_at_any_moment_never_try_twice_at_once():
    async def test(one):
        one.transport.cancel_takes = 3
        for before in range(6):
            for between in range(8):
                first = one.connect()
                await turns(before)
                stopping = asyncio.create_task(one.supervisor.stop())
                await turns(between)
                second = one.connect()
                await stopping
                await second
                assert one.state == CONNECTED, (before, between)
                assert one.transport.most == 1
                assert first.done()
                try:
                    await first
                except OperationCancelled:
                    pass
                await one.supervisor.stop()
        assert one.problems == []

    scene(test)


def test_connect_while_stopping_waits_until_that_is_done():
    async def test(one):
        await one.connected()
        one.transport.closing = Future()
        stopping = asyncio.create_task(one.supervisor.stop())
        await turns()
        assert one.state == STOPPING
        tasks = [one.connect(), one.connect(), asyncio.create_task(one.supervisor.ready())]
        await turns()
        assert one.transport.opening == 0
        assert one.state == STOPPING
        one.transport.closing.set_result()
        await stopping
        one.transport.closing = None
        for task in tasks:
            await task
        assert one.state == CONNECTED
        assert one.transport.opened == 2

    scene(test)


def test_several_who_disconnect_and_connect_at_once():
    async def test(one):
        await one.connected()
        one.transport.closing = Future()
        calls = [one.supervisor.stop, one.supervisor.connect, one.supervisor.stop] * 2
        tasks = [asyncio.create_task(call()) for call in calls]
        await turns()
        one.transport.closing.set_result()
        one.transport.closing = None
        for task in tasks:
            try:
                await task
            except OperationCancelled:
                pass
        assert one.state in (CONNECTED, DISCONNECTED)
        assert one.transport.most == 1
        assert one.problems == []

    scene(test)


def test_first_attempt_that_fails_is_raised_and_not_repeated():
    async def test(one):
        error = ConnectionFailedError("refused", "tcp")
        one.transport.outcomes = [error]
        first, second = one.connect(), one.connect()
        assert await failure(first) is error
        assert await failure(second) is error
        assert one.state == DISCONNECTED
        assert one.transport.calls == [("fail", error)]
        assert one.problems == []  # who called it was told
        await one.supervisor.connect()
        assert one.transport.opened == 1

    scene(test)


def test_attempt_that_nobody_waits_for_reports_its_failure():
    async def test(one):
        error = ConnectionFailedError("refused", "tcp")
        one.transport.outcomes = [error]
        one.supervisor.begin()
        await until(lambda: one.state == DISCONNECTED)
        await turns()
        assert one.problems == [error]

    scene(test)


def test_connect_with_retry_reports_failures_until_there_is_a_connection():
    async def test(one):
        errors = [ConnectionFailedError("refused", "tcp"), CredentialError("no", "connack", 5)]
        one.transport.outcomes = list(errors)
        await one.supervisor.connect(retry=True)
        assert one.state == CONNECTED
        assert one.transport.opened == 1
        await turns()
        assert one.problems == errors

    scene(test)


def test_connect_with_retry_joins_an_attempt_without():
    async def test(one):
        error = ConnectionFailedError("refused", "tcp")
        one.transport.outcomes = [error]
        first = one.connect()
        await turns(1)
        second = one.connect(retry=True)
        assert await failure(first) is error
        await second
        assert one.state == CONNECTED
        assert one.transport.most == 1

    scene(test)


# -- giving up ----------------------------------------------------------------------------------


def test_only_caller_that_is_cancelled_gives_the_attempt_up():
    async def test(one):
        one.transport.outcomes = [Future()]
        task = one.connect()
        await turns(3)
        assert one.transport.opening == 1
        await cancel(task)
        await until(lambda: one.state == DISCONNECTED)
        await turns()
        assert one.transport.opening == 0
        assert one.transport.opened == 0
        assert one.problems == []

    scene(test)


def test_attempt_goes_on_as_long_as_somebody_waits_for_it():
    async def test(one):
        for other in (one.supervisor.connect, one.supervisor.ready):
            gate = Future()
            one.transport.outcomes = [gate]
            first = one.connect()
            await turns(3)
            second = asyncio.create_task(other())
            await turns(3)
            await cancel(first)
            await turns()
            assert one.state == CONNECTING
            gate.set_result()
            await second
            assert one.state == CONNECTED
            await one.supervisor.stop()

    scene(test)


def test_connect_at_once_after_giving_up_never_tries_twice_at_once():
    async def test(one):
        one.transport.cancel_takes = 5
        for before in range(6):
            one.transport.outcomes = [Future()] if before > 1 else []
            first = one.connect()
            await turns(before)
            first.cancel()
            second = one.connect()
            try:
                await first
            except asyncio.CancelledError:
                pass
            await second
            assert one.state == CONNECTED
            assert one.transport.most == 1, before
            await one.supervisor.stop()
            one.transport.outcomes = []

    scene(test)


def test_disconnect_after_giving_up_waits_for_the_attempt_to_end():
    async def test(one):
        one.transport.cancel_takes = 10
        one.transport.outcomes = [Future()]
        task = one.connect()
        await turns(3)
        task.cancel()
        await turns(1)
        await one.supervisor.stop()
        assert one.transport.opening == 0
        try:
            await task
        except asyncio.CancelledError:
            pass

    scene(test)


def test_disconnect_that_is_cancelled_still_ends_the_connection():
    async def test(one):
        await one.connected()
        one.transport.closing = Future()
        task = asyncio.create_task(one.supervisor.stop())
        await turns()
        await cancel(task)
        assert one.state == DISCONNECTED
        one.transport.closing = None
        await one.supervisor.connect()
        assert one.state == CONNECTED

    scene(test)


# -- a lost connection --------------------------------------------------------------------------


def test_lost_connection_is_made_again_after_a_delay():
    async def test(one):
        await one.connected()
        error = ConnectionDroppedError("gone", "read")
        one.transport.lose(error)
        await turns()
        assert one.state in (WAITING, CONNECTING, CONNECTED)  # the delay may be none at all
        await until(lambda: one.transport.opened == 2 and one.state == CONNECTED)
        assert one.supervisor.connections == 2
        assert one.supervisor.losses == {"read": 1}
        assert one.problems == [error]
        assert one.transport.most == 1

    scene(test)


def test_failing_attempts_after_a_loss_are_reported_and_repeated():
    async def test(one):
        await one.connected()
        errors = [OSError("one"), ConnectionFailedError("two", "tcp")]
        one.transport.outcomes = list(errors)
        lost = ConnectionDroppedError("gone", "read")
        one.transport.lose(lost)
        await until(lambda: one.transport.opened == 2 and one.state == CONNECTED)
        await turns()
        assert one.problems == [lost] + errors

    scene(test)


class Patient(Supervisor):
    """Its delays are as long as can be: a test would not get over one."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._backoff = Backoff(60, random=lambda: 1)


def patient(test, **options):
    async def with_patience(one):
        one.supervisor = Patient(one.transport, one.dispatcher, one.outbox, one.options)
        await test(one)

    scene(with_patience, **options)


def test_connect_while_waiting_cuts_the_wait_short():
    async def test(one):
        await one.connected()
        one.transport.lose()
        await until(lambda: one.state == WAITING)
        await one.supervisor.connect()
        assert one.state == CONNECTED
        assert one.transport.opened == 2
        assert one.transport.most == 1

    patient(test)


def test_connect_while_waiting_raises_its_error_and_the_wait_goes_on():
    async def test(one):
        await one.connected()
        one.transport.lose()
        await until(lambda: one.state == WAITING)
        error = ConnectionFailedError("refused", "tcp")
        one.transport.outcomes = [error]
        assert await failure(one.supervisor.connect()) is error
        await turns()
        assert one.state == WAITING
        assert one.problems[-1] is error

    patient(test)


def test_connect_while_waiting_that_is_cancelled_does_not_end_the_reconnecting():
    async def test(one):
        await one.connected()
        one.transport.lose()
        await until(lambda: one.state == WAITING)
        gate = Future()
        one.transport.outcomes = [gate]
        task = one.connect()
        await turns(3)
        await cancel(task)
        assert one.state == CONNECTING
        gate.set_result()
        await until(lambda: one.state == CONNECTED)

    patient(test)


def test_disconnect_while_waiting():
    async def test(one):
        await one.connected()
        one.transport.lose()
        await until(lambda: one.state == WAITING)
        waiting = asyncio.create_task(one.supervisor.ready())
        await turns()
        await one.supervisor.stop()
        assert one.state == DISCONNECTED
        assert isinstance(await failure(waiting), OperationCancelled)

    patient(test)


def test_without_connection_retry_a_lost_connection_is_given_up():
    async def test(one):
        await one.connected()
        error = ConnectionDroppedError("gone", "read")
        one.transport.lose(error)
        await until(lambda: one.state == DISCONNECTED)
        await turns()
        assert one.problems == [error]
        assert one.transport.calls == [("fail", error)]
        assert one.outbox.states[-1] == DISCONNECTED
        await one.supervisor.connect()
        assert one.state == CONNECTED

    scene(test, connection_retry=False)


def test_third_connection_that_soon_ends_reports_another_client():
    async def test(one):
        await one.connected()
        for count in (1, 2, 3, 4):
            one.transport.lose()
            await until(lambda: one.state == WAITING)
            await turns()
            found = [error for error in one.problems if error.stage == "identity"]
            assert len(found) == (count >= 3), count
            await one.supervisor.connect()
        assert isinstance(found[0], ConnectionDroppedError)
        assert one.supervisor.losses == {"read": 4}

    patient(test)


def test_connection_that_stood_for_long_begins_the_count_again():
    now = [0]
    original, module.uptime = module.uptime, lambda: now[0]

    async def test(one):
        await one.connected()
        for life in (0, 0, 100, 0, 0):
            now[0] += life
            one.transport.lose()
            await until(lambda: one.state == WAITING)
            await one.supervisor.connect()
        await turns()
        assert {error.stage for error in one.problems} == {"read"}

    try:
        patient(test)
    finally:
        module.uptime = original


def test_connections_that_end_otherwise_are_no_other_client():
    async def test(one):
        await one.connected()
        for _ in range(4):
            one.transport.lose(OperationTimeout("no answer to a ping", "ping"))
            await until(lambda: one.state == WAITING)
            await one.supervisor.connect()
        await turns()
        assert {error.stage for error in one.problems} == {"ping"}

    patient(test)


# -- ready() ------------------------------------------------------------------------------------


def test_ready_connects_by_itself():
    async def test(one):
        await one.supervisor.ready()
        assert one.state == CONNECTED
        await one.supervisor.ready()
        assert one.transport.opened == 1

    scene(test)


def test_ready_without_auto_connect():
    async def test(one):
        assert isinstance(await failure(one.supervisor.ready()), NoConnectionError)
        assert one.state == DISCONNECTED
        assert one.transport.opening == one.transport.opened == 0
        await one.connected()
        await one.supervisor.ready()

    scene(test, auto_connect=False)


def test_ready_raises_what_the_first_attempt_raises():
    async def test(one):
        error = CredentialError("no", "connack", 5)
        one.transport.outcomes = [error]
        assert await failure(one.supervisor.ready()) is error
        one.transport.outcomes = [error]
        first = one.connect()
        await turns(1)
        assert one.state == CONNECTING
        assert await failure(one.supervisor.ready()) is error
        assert await failure(first) is error

    scene(test)


def test_ready_while_connecting_and_while_waiting():
    async def test(one):
        gate = Future()
        one.transport.outcomes = [gate]
        first = one.connect()
        second = asyncio.create_task(one.supervisor.ready())
        await turns()
        assert not second.done()
        gate.set_result()
        await first
        await second
        one.transport.lose()
        assert not one.transport.is_open()
        assert one.state == CONNECTED  # nobody has noticed yet
        third = asyncio.create_task(one.supervisor.ready())
        await until(lambda: one.transport.opened == 2)
        await third
        assert one.state == CONNECTED

    scene(test)


def test_ready_has_a_deadline():
    async def test(one):
        await one.connected()
        one.transport.lose()
        await until(lambda: one.state == WAITING)
        error = await failure(one.supervisor.ready())
        assert isinstance(error, OperationTimeout)
        assert one.state == WAITING

    patient(test, operation_timeout=0.05)


def test_ready_while_stopping_and_when_closed():
    async def test(one):
        await one.connected()
        one.transport.closing = Future()
        stopping = asyncio.create_task(one.supervisor.shutdown())
        await turns()
        assert one.state == STOPPING
        one.transport.closing.set_result()
        await stopping
        assert one.state == CLOSED
        assert isinstance(await failure(one.supervisor.ready()), NoConnectionError)

    scene(test)


def test_failure_is_reported_though_somebody_waited_for_it_once():
    async def test(one):
        gate = Future()
        one.transport.outcomes = [gate]
        one.supervisor.begin()
        error = await failure(one.supervisor.ready())
        assert isinstance(error, OperationTimeout)
        gate.set_exception(ConnectionFailedError("refused", "tcp"))
        await until(lambda: one.state == DISCONNECTED)
        await turns()
        assert [problem.stage for problem in one.problems] == ["tcp"]

    scene(test, operation_timeout=0.05)


# -- the clock ----------------------------------------------------------------------------------


def with_clock(*answers):
    """(options with a check_clock that gives these answers, how often it was asked)."""
    asked = []

    def check_clock():
        asked.append(len(asked))
        return answers[len(asked) - 1]

    return {"check_clock": check_clock}, asked


def blamed():
    """What a wrong clock may be the cause of."""
    return (
        CredentialError("not authorised", "connack", 5),
        CredentialError("token", "token", 401),
        ConnectionFailedError("certificate not yet valid", "tls"),
    )


def test_clock_is_asked_before_the_key_is_blamed():
    for error in blamed():
        options, asked = with_clock(True)

        async def test(one, error=error, asked=asked):
            one.transport.outcomes = [error]
            await one.supervisor.connect()  # with the right time it succeeds
            assert one.state == CONNECTED
            assert asked == [0]
            assert one.problems == []

        scene(test, **options)


def test_key_is_blamed_if_the_clock_is_right():
    for error in blamed():
        options, asked = with_clock(False, True)

        async def test(one, error=error, asked=asked):
            for _ in range(2):
                one.transport.outcomes = [error]
                assert await failure(one.supervisor.connect()) is error
            assert asked == [0]  # it will not have become wrong
            await one.supervisor.connect()
            await one.supervisor.stop()
            one.transport.outcomes = [error]
            await one.supervisor.connect()  # since a connection it is asked again
            assert asked == [0, 1]

        scene(test, **options)


def test_clock_that_nobody_can_tell_is_asked_again():
    options, asked = with_clock(None, None)

    async def test(one):
        error = CredentialError("not authorised", "connack", 5)
        for count in (1, 2):
            one.transport.outcomes = [error]
            assert await failure(one.supervisor.connect()) is error
            assert len(asked) == count

    scene(test, **options)


def test_clock_is_not_asked_for_other_failures():
    options, asked = with_clock()

    async def test(one):
        for error in (
            CredentialError("identifier", "connack", 2),
            ConnectionFailedError("refused", "tcp"),
            OperationTimeout("no answer", "tls"),
            OSError("other"),
        ):
            one.transport.outcomes = [error]
            assert await failure(one.supervisor.connect()) is error
        assert asked == []

    scene(test, **options)


def test_clock_that_cannot_be_asked_does_not_hide_the_failure():
    mistake = OSError("no answer from NTP")

    def check_clock():
        raise mistake

    async def test(one):
        error = CredentialError("not authorised", "connack", 5)
        one.transport.outcomes = [error]
        assert await failure(one.supervisor.connect()) is error
        await turns()
        assert one.problems == [mistake]

    scene(test, check_clock=check_clock)


# -- deadlines ----------------------------------------------------------------------------------


def test_ticker_that_raises_is_reported_and_goes_on():
    async def test(one):
        await one.connected()
        error = one.transport.tick_error = ValueError("a mistake")
        await until(lambda: one.transport.ticks > 2)
        await turns()
        assert one.problems[0] is error
        assert len(one.problems) >= 2
        one.transport.tick_error = MemoryError()
        before, ticks = len(one.problems), one.transport.ticks
        await until(lambda: one.transport.ticks > ticks + 2)
        assert len(one.problems) - before <= 1  # to report that would need memory
        assert one.state == CONNECTED

        def run(*_):
            raise MemoryError

        one.dispatcher.run = run
        one.transport.tick_error = ValueError("a mistake")
        ticks = one.transport.ticks
        await until(lambda: one.transport.ticks > ticks + 2)
        assert one.state == CONNECTED

    scene(test, timeout=0.02)


def test_ticker_runs_from_connect_to_the_end_and_while_waiting():
    async def test(one):
        assert one.supervisor.last_tick is None
        await one.connected()
        await until(lambda: one.transport.ticks > 2)
        assert uptime() - one.supervisor.last_tick < 5
        one.transport.lose()
        await until(lambda: one.state == WAITING)
        ticks = one.transport.ticks
        await until(lambda: one.transport.ticks > ticks)

    patient(test, timeout=0.02)


def test_one_ticker_runs_whatever_came_before():
    async def test(one):
        await one.connected()
        one.transport.closing = Future()
        for _ in range(3):
            task = asyncio.create_task(one.supervisor.stop())
            await turns()
            await cancel(task)
            assert one.state == DISCONNECTED
            await one.supervisor.connect()
        one.transport.closing = None
        count = one.transport.ticks
        await until(lambda: one.transport.ticks > count + 8)
        assert len(set(one.transport.tickers[count + 4 :])) == 1

    scene(test, timeout=0.02)


# -- a ready token that has ended ----------------------------------------------------------------

REFUSAL = CredentialError("not authorised", "connack", 5)


def token(life):
    return sas_token("h/devices/d", "A" * 43 + "=", unix_time() + life)


def with_token(test, life):
    """Run test(scene, asked) with a ready token, and delays that a test cannot outwait."""

    async def with_asked(one):
        asked = []
        one.transport.credentials = Credentials("h", "d", sastoken=token(life))
        one.dispatcher.set_handler("on_new_sastoken_required", lambda: asked.append(one.state))
        await test(one, asked)

    patient(with_asked)


def test_refusal_of_a_token_that_has_ended_asks_for_another_once():
    async def test(one, asked):
        one.transport.outcomes = [REFUSAL] * 4
        connecting = one.connect(retry=True)
        for _ in range(3):
            await until(lambda: one.state == WAITING)
            await turns()
            assert len(asked) == 1
            one.supervisor.begin()
        await until(lambda: one.state == WAITING)
        await update_sastoken(one.supervisor, token(1000))  # the next attempt is made at once
        await connecting
        assert len(asked) == 1
        assert [type(problem) for problem in one.problems] == [CredentialError] * 4
        assert "update_sastoken()" in str(one.problems[0])

    with_token(test, -1)


def test_handler_may_bring_the_token_itself():
    async def test(one, asked):
        async def bring():
            asked.append(one.state)
            await update_sastoken(one.supervisor, token(1000))
            asked.append("brought")

        one.dispatcher.set_handler("on_new_sastoken_required", bring)
        one.transport.outcomes = [REFUSAL]
        await one.supervisor.connect(retry=True)
        await until(lambda: asked == [WAITING, "brought"])
        assert one.transport.opened == 1

    with_token(test, -1)


def test_first_attempt_without_retry_asks_too():
    async def test(one, asked):
        one.transport.outcomes = [REFUSAL]
        error = await failure(one.supervisor.connect())
        assert isinstance(error, CredentialError)
        assert (error.stage, error.code) == ("connack", 5)
        await turns()
        assert asked == [DISCONNECTED]
        await update_sastoken(one.supervisor, token(1000))
        assert one.state == DISCONNECTED  # it is the program that connects
        await one.supervisor.connect()
        assert len(asked) == 1

    with_token(test, -1)


def test_refusal_after_the_clock_was_set_is_judged_by_it():
    async def test(one, asked):
        one.supervisor.check_clock = lambda: True
        one.transport.outcomes = [REFUSAL, REFUSAL]
        assert isinstance(await failure(one.supervisor.connect()), CredentialError)
        await turns()
        assert len(asked) == 1

    with_token(test, -1)


def test_refusal_of_a_token_that_has_not_ended_asks_for_none():
    async def test(one, asked):
        one.transport.outcomes = [REFUSAL]
        assert await failure(one.supervisor.connect()) is REFUSAL
        await turns()
        assert asked == []

    with_token(test, 1000)


# -- the end ------------------------------------------------------------------------------------


def test_shutdown_is_for_good():
    async def test(one):
        await one.connected()
        await one.supervisor.shutdown()
        assert one.state == CLOSED
        error = await failure(one.supervisor.connect())
        assert isinstance(error, NoConnectionError)
        assert "shut down" in str(error)
        assert isinstance(await failure(one.supervisor.connect(retry=True)), NoConnectionError)
        one.supervisor.begin()
        await turns()
        assert one.transport.opened == 1
        await one.supervisor.shutdown()  # again
        assert one.state == CLOSED

    scene(test)


def test_shutdown_during_an_attempt():
    async def test(one):
        one.transport.cancel_takes = 3
        one.transport.outcomes = [Future()]
        task = one.connect()
        await turns(3)
        await one.supervisor.shutdown()
        assert one.state == CLOSED
        assert isinstance(await failure(task), OperationCancelled)
        assert one.transport.opening == 0

    scene(test)


# -- what the dispatcher and the outbox are told ------------------------------------------------


def test_what_is_wanted_is_asked_at_each_attempt():
    async def test(one):
        await one.connected()
        await one.supervisor.stop()
        one.dispatcher.set_handler("on_method_request_received", print)
        await one.supervisor.connect()
        assert one.transport.attempts == [([], False), (["methods"], False)]

    scene(test)


def test_program_is_told_of_changes_between_connected_and_not():
    async def test(one):
        await one.connected()
        await turns()
        one.transport.lose()
        await until(lambda: one.state == WAITING)
        await turns()
        await one.supervisor.connect()
        await turns()
        await one.supervisor.stop()
        await turns()
        assert len(one.states) == 4
        assert one.states[:3] == [CONNECTED, WAITING, CONNECTED]

    patient(test)
