"""Direct methods: each is answered once, whatever its handler does."""

import asyncio
import json

from host_tests.support.tasks import turns, until
from iothub.compat import Future
from iothub.dispatcher import Dispatcher
from iothub.errors import ConnectionDroppedError, OperationTimeout
from iothub.methods import MethodRequest, MethodResponse, send_method_response


class Transport:
    def __init__(self):
        self.answers = []
        self.open = True

    def prepare(self):
        pass

    def is_open(self):
        return self.open

    async def enable(self, feature):
        pass

    def respond(self, rid, status, body):
        if not self.open:
            raise ConnectionDroppedError("there is no connection", "method")
        self.answers.append((rid, status, body))


class Supervisor:
    def __init__(self, dispatcher):
        self.dispatcher = dispatcher


def made(handler, timeout=5):
    """(Dispatcher with a handler for methods, its Transport, what it has reported)."""
    dispatcher, problems = Dispatcher({"handler_timeout": timeout, "timeout": 5}), []
    transport = dispatcher.transport = Transport()
    dispatcher.set_handler("on_background_exception", problems.append)
    dispatcher.set_handler("on_method_request_received", handler)
    return dispatcher, transport, problems


def on_loop(main):
    return asyncio.run(asyncio.wait_for(main(), 10))


async def done(dispatcher):
    await until(dispatcher.is_idle)
    await turns()


def test_response_from_request():
    request = MethodRequest("r1", "name", {"a": 1})
    response = MethodResponse.create_from_method_request(request, 201, [1])
    assert (response.request_id, response.status, response.payload) == ("r1", 201, [1])
    assert MethodResponse.create_from_method_request(request, 200).payload is None


def test_what_a_handler_may_return():
    async def main():
        for result, status, body in (
            ((202, {"a": 1}), 202, {"a": 1}),
            ({"a": 1}, 200, {"a": 1}),
            ("text", 200, "text"),
            ([], 200, []),
            (False, 200, False),
            ((204, None), 204, None),
        ):
            dispatcher, transport, problems = made(lambda request, result=result: result)
            dispatcher.on_method("name", "rid", b'{"in": 5}')
            await done(dispatcher)
            ((rid, found, payload),) = transport.answers
            assert (rid, found) == ("rid", status)
            assert (json.loads(payload) if payload else None) == body
            assert problems == []

    on_loop(main)


def test_request_has_its_name_and_its_payload():
    async def main():
        seen = []

        async def handler(request):
            seen.append((request.name, request.request_id, request.payload))
            return MethodResponse.create_from_method_request(request, 200, {})

        dispatcher, transport, _ = made(handler)
        dispatcher.on_method("one", "1", b'{"a": [1]}')
        dispatcher.on_method("two", "2", b"")
        await done(dispatcher)
        assert seen == [("one", "1", {"a": [1]}), ("two", "2", None)]
        assert transport.answers == [("1", 200, b"{}"), ("2", 200, b"{}")]

    on_loop(main)


def test_payload_that_is_no_json_is_answered_400():
    async def main():
        dispatcher, transport, _ = made(lambda request: 200)
        for body in (b"{", b"\xff", b"nonsense"):
            dispatcher.on_method("name", "rid", body)
        await done(dispatcher)
        assert transport.answers == [("rid", 400, b"")] * 3

    on_loop(main)


def test_handler_that_fails_is_answered_500_and_reported():
    async def main():
        error = KeyError("a mistake")

        def handler(request):
            if request.name == "raises":
                raise error
            return {"not": object()}  # JSON cannot hold it

        dispatcher, transport, problems = made(handler)
        dispatcher.on_method("raises", "1", b"")
        await done(dispatcher)
        assert transport.answers == [("1", 500, b"")]
        assert problems == [error]

    on_loop(main)


def test_handler_that_ends_with_a_cancellation_is_answered_500():
    """As one does that awaits a task which it has cancelled."""

    async def main():
        async def long():
            await asyncio.sleep(60)

        async def handler(request):
            task = asyncio.create_task(long())
            await asyncio.sleep(0)
            task.cancel()
            await task

        dispatcher, transport, _ = made(handler)
        dispatcher.on_method("cancels", "1", b"")
        await done(dispatcher)
        assert transport.answers == [("1", 500, b"")]

    on_loop(main)


def test_handler_that_is_late_is_answered_504():
    async def main():
        async def handler(request):
            await asyncio.sleep(60)

        dispatcher, transport, problems = made(handler, timeout=0.01)
        dispatcher.on_method("slow", "1", b"")
        await done(dispatcher)
        assert transport.answers == [("1", 504, b"")]
        assert isinstance(problems[0], OperationTimeout)

    on_loop(main)


def test_handler_may_answer_by_itself():
    async def main():
        dispatcher = None

        async def handler(request):
            if request.name == "later":
                asyncio.create_task(answer(request))
                return None
            return await answer(request)

        async def answer(request):
            await asyncio.sleep(0)
            response = MethodResponse.create_from_method_request(request, 201, {"a": 1})
            await send_method_response(Supervisor(dispatcher), response)

        dispatcher, transport, problems = made(handler)
        dispatcher.on_method("now", "1", b"")
        dispatcher.on_method("later", "2", b"")
        await done(dispatcher)
        assert sorted(transport.answers) == [
            ("1", 201, b'{"a": 1}'),
            ("2", 201, b'{"a": 1}'),
        ]
        assert problems == []

    on_loop(main)


def test_handler_that_has_answered_is_not_answered_for():
    async def main():
        dispatcher = None

        async def handler(request):
            response = MethodResponse.create_from_method_request(request, 201)
            await send_method_response(Supervisor(dispatcher), response)
            if request.name == "raises":
                raise ValueError("afterwards")
            return 200, "too late"

        dispatcher, transport, problems = made(handler)
        dispatcher.on_method("returns", "1", b"")
        dispatcher.on_method("raises", "2", b"")
        await done(dispatcher)
        assert sorted(transport.answers) == [("1", 201, b""), ("2", 201, b"")]
        assert len(problems) == 1

    on_loop(main)


def test_handler_that_never_answers():
    async def main():
        dispatcher, transport, problems = made(lambda request: None, timeout=0.01)
        dispatcher.on_method("name", "1", b"")
        await done(dispatcher)
        assert transport.answers == [("1", 504, b"")]
        assert [error.stage for error in problems] == ["method"]

    on_loop(main)


def test_no_more_than_eight_run_at_once():
    async def main():
        gates, started = [], []

        async def handler(request):
            started.append(request.request_id)
            gates.append(Future())
            await gates[-1]
            return 200, None

        dispatcher, transport, _ = made(handler)
        for number in range(10):
            dispatcher.on_method("name", str(number), b"")
        await turns()
        assert len(started) == 8
        assert transport.answers == [("8", 429, b""), ("9", 429, b"")]
        for gate in gates:
            gate.set_result()
        await done(dispatcher)
        assert len(transport.answers) == 10
        dispatcher.on_method("name", "10", b"")
        await turns()
        gates[-1].set_result()
        await done(dispatcher)
        assert transport.answers[-1] == ("10", 200, b"")

    on_loop(main)


def test_method_that_is_asked_twice_runs_once():
    async def main():
        started = []

        async def handler(request):
            started.append(request.request_id)
            await asyncio.sleep(0)
            return 200, None

        dispatcher, transport, _ = made(handler)
        dispatcher.on_method("name", "1", b"")
        dispatcher.on_method("name", "1", b"")
        await done(dispatcher)
        assert started == ["1"]
        assert len(transport.answers) == 1

    on_loop(main)


def test_answer_that_misses_its_connection_is_reported_and_forgotten():
    async def main():
        async def handler(request):
            transport.open = False
            return 200, None

        dispatcher, transport, problems = made(handler)
        dispatcher.on_method("name", "1", b"")
        await done(dispatcher)
        assert transport.answers == []
        assert [error.stage for error in problems] == ["method"]
        assert dispatcher.is_idle()

    on_loop(main)
