"""iothub.dispatcher: handlers of both kinds, their deadlines, and what goes wrong in them."""

import asyncio

from host_tests.support.tasks import failure, turns
from iothub.dispatcher import Dispatcher
from iothub.errors import OperationTimeout
from iothub.messages import Message
from iothub.options import checked


class Transport:
    def __init__(self, is_open=True):
        self.enabled = []
        self.answers = []
        self.settled = []
        self.open = is_open
        self.error = None

    def prepare(self):
        pass

    def is_open(self):
        return self.open

    async def enable(self, feature):
        if self.error is not None:
            raise self.error
        self.enabled.append(feature)

    def respond(self, rid, status, body):
        self.answers.append((rid, status, body))

    def settle(self, receipt, outcome):
        self.settled.append((receipt, outcome))

    def pause_reading(self, paused):
        pass


def made(is_open=True, timeout=5):
    """(Dispatcher, its Transport, what it has reported)."""
    options = checked({"handler_timeout": timeout, "timeout": 5})
    dispatcher, problems = Dispatcher(options), []
    transport = dispatcher.transport = Transport(is_open)
    dispatcher.set_handler("on_background_exception", problems.append)
    return dispatcher, transport, problems


def on_loop(main):
    return asyncio.run(asyncio.wait_for(main(), 10))


# -- handlers -----------------------------------------------------------------------------------


def test_functions_and_coroutine_functions_are_called_alike():
    async def main():
        dispatcher, _, _ = made()

        async def slow(one, two):
            await asyncio.sleep(0)
            return one + two

        assert await dispatcher.call(slow, 1, 2) == 3
        assert await dispatcher.call(lambda one: one * 2, 4) == 8
        assert await dispatcher.call(lambda: slow(3, 4)) == 7
        assert await dispatcher.call(None, 1) is None

    on_loop(main)


def test_handler_has_a_deadline():
    async def main():
        dispatcher, _, _ = made(timeout=0.01)

        async def never():
            await asyncio.sleep(60)

        error = await failure(dispatcher.call(never))
        assert isinstance(error, OperationTimeout)
        assert error.stage == "handler"

    on_loop(main)


def test_what_runs_behind_the_programs_back_reports_what_it_raises():
    async def main():
        dispatcher, _, problems = made()
        error = ValueError("a mistake")

        async def fail(raised):
            raise raised

        dispatcher.run(fail, error)
        await turns()
        assert problems == [error]

    on_loop(main)


def test_reporter_may_be_a_coroutine_and_may_fail():
    async def main():
        dispatcher, _, _ = made()
        seen = []

        async def reporter(error):
            await asyncio.sleep(0)
            seen.append(error)
            raise RuntimeError("in the reporter")

        dispatcher.set_handler("on_background_exception", reporter)
        errors = [OSError("one"), OSError("two")]
        for error in errors:
            dispatcher.report(error)
            await turns()
        assert seen == errors  # and not what the reporter raised

    on_loop(main)


def test_without_a_reporter_it_is_printed():
    async def main():
        dispatcher, _, _ = made()
        dispatcher.set_handler("on_background_exception", None)
        dispatcher.report(OSError("printed"))
        await turns()

    on_loop(main)


# -- features -----------------------------------------------------------------------------------


def test_handler_of_a_feature_asks_the_hub_for_it():
    async def main():
        dispatcher, transport, _ = made()
        for name in (
            "on_message_received",
            "on_method_request_received",
            "on_twin_desired_properties_patch_received",
            "on_connection_state_change",
            "on_background_exception",
            "on_new_sastoken_required",
        ):
            dispatcher.set_handler(name, print)
        dispatcher.set_handler("on_message_received", None)
        await turns()
        assert transport.enabled == ["messages", "methods", "desired"]
        assert sorted(dispatcher.wanted()[0]) == ["desired", "methods", "twin"]

    on_loop(main)


def test_feature_that_is_refused_is_reported():
    async def main():
        dispatcher, transport, problems = made()
        transport.error = OSError("no")
        dispatcher.set_handler("on_message_received", print)
        await turns()
        assert problems == [transport.error]

    on_loop(main)


def test_without_a_connection_features_are_asked_for_with_the_next_one():
    async def main():
        dispatcher, transport, _ = made(is_open=False)
        assert dispatcher.wanted() == ([], False)
        dispatcher.set_handler("on_message_received", print)
        dispatcher.set_handler("on_method_request_received", print)
        await turns()
        assert transport.enabled == []
        features, read_twin = dispatcher.wanted()
        assert sorted(features) == ["messages", "methods"]
        assert not read_twin

    on_loop(main)


def test_twin_is_read_at_each_connection_only_if_that_is_wanted():
    for ensure in (True, False):
        options = checked({"ensure_desired_properties": ensure})
        dispatcher = Dispatcher(options)
        dispatcher.transport = Transport(is_open=False)
        dispatcher.set_handler("on_twin_desired_properties_patch_received", print)
        for _ in range(2):
            assert dispatcher.wanted() == (["desired", "twin"], ensure)


# -- what comes without a handler ---------------------------------------------------------------


def test_message_without_a_handler_is_not_settled():
    async def main():
        dispatcher, transport, problems = made()
        dispatcher.on_message(Message(b"x"), "receipt")
        await turns()
        assert transport.settled == []
        assert dispatcher.dropped == 1
        assert dispatcher.is_idle()
        assert problems == []

    on_loop(main)


def test_method_without_a_handler_is_answered_404():
    async def main():
        dispatcher, transport, _ = made()
        dispatcher.on_method("reboot", "rid", b"{}")
        assert transport.answers == [("rid", 404, b"")]
        assert dispatcher.is_idle()

    on_loop(main)


def test_desired_properties_without_a_handler_are_dropped():
    async def main():
        dispatcher, _, problems = made()
        dispatcher.on_desired(b'{"a": 1, "$version": 5}')
        await turns()
        assert problems == []

    on_loop(main)


# -- messages, in order -------------------------------------------------------------------------


def test_messages_are_handled_in_order_and_settled_as_they_say():
    async def main():
        dispatcher, transport, problems = made()
        seen = []
        error = ValueError("in the handler")

        async def on_message(message):
            await asyncio.sleep(0)
            seen.append(message.data)
            if message.data == b"bad":
                raise error
            if message.data != b"good":
                getattr(message, message.data.decode())()

        dispatcher.set_handler("on_message_received", on_message)
        for data in (b"good", b"bad", b"reject", b"abandon"):
            dispatcher.on_message(Message(data), data)
        assert not dispatcher.is_idle()
        await turns(100)
        assert seen == [b"good", b"bad", b"reject", b"abandon"]
        assert transport.settled == [
            (b"good", "complete"),
            (b"bad", "abandon"),
            (b"reject", "reject"),
            (b"abandon", "abandon"),
        ]
        assert problems == [error]
        assert dispatcher.handled == 4
        assert dispatcher.is_idle()

    on_loop(main)
