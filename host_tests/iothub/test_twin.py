"""iothub.twin: merges, differences, and the order of desired changes."""

import asyncio
import json

from host_tests.support.raises import raises
from host_tests.support.tasks import turns
from iothub.compat import Future
from iothub.dispatcher import Dispatcher
from iothub.errors import (
    ConnectionDroppedError,
    OperationCancelled,
    OperationTimeout,
    ServiceError,
)
from iothub.options import checked
from iothub.twin import DesiredProperties, desired_section, difference, merge


def test_merge():
    section = {"a": 1, "b": {"c": 1, "d": 2}, "e": {"f": 1}}
    merge(section, {"a": None, "b": {"c": None, "x": {"y": None, "z": 1}}, "e": 5, "n": {}})
    assert section == {"b": {"d": 2, "x": {"z": 1}}, "e": 5, "n": {}}


def test_difference_is_the_smallest_patch():
    old = {"same": {"x": [1]}, "gone": 1, "inner": {"a": 1, "b": 2}, "kind": 1}
    new = {"same": {"x": [1]}, "inner": {"a": 1, "b": 3}, "kind": True, "new": {}}
    assert difference(old, new) == {"gone": None, "inner": {"b": 3}, "kind": True, "new": {}}
    assert difference(old, old) == {}


def test_first_section_is_reported_whole_unless_empty():
    desired = DesiredProperties()
    desired.begin_sync()
    assert desired.apply_snapshot({"a": 1, "$version": 3}) == [{"a": 1, "$version": 3}]
    assert DesiredProperties().apply_snapshot({"$version": 1}) == []


def test_patches_are_reported_once_and_in_order():
    desired = DesiredProperties()
    desired.apply_snapshot({"$version": 1})
    assert desired.apply_patch({"a": 1, "$version": 2}) == [{"a": 1, "$version": 2}]
    assert desired.apply_patch({"a": 1, "$version": 2}) == []
    assert desired.apply_patch({"a": 0, "$version": 1}) == []


def test_version_gap_requests_the_whole_section():
    desired = DesiredProperties()
    desired.apply_snapshot({"$version": 1})
    assert desired.apply_patch({"b": 1, "$version": 3}) is None
    desired.begin_sync()
    assert desired.apply_snapshot({"a": 1, "b": 1, "$version": 3}) == [
        {"a": 1, "b": 1, "$version": 3}
    ]


def test_offline_changes_are_reported_as_a_difference():
    desired = DesiredProperties()
    desired.apply_snapshot({"a": 1, "b": {"c": 1}, "$version": 1})
    desired.apply_patch({"b": {"c": 2}, "$version": 2})
    desired.begin_sync()
    assert desired.apply_snapshot({"b": {"c": 2, "d": 3}, "$version": 4}) == [
        {"a": None, "b": {"d": 3}, "$version": 4}
    ]
    desired.begin_sync()
    assert desired.apply_snapshot({"b": {"c": 2, "d": 3}, "$version": 4}) == []


def test_patches_during_a_read_are_applied_after_it():
    desired = DesiredProperties()
    desired.begin_sync()
    assert desired.apply_patch({"a": 2, "$version": 2}) == []
    assert desired.apply_patch({"a": 3, "$version": 3}) == []
    assert desired.apply_snapshot({"a": 2, "$version": 2}) == [
        {"a": 2, "$version": 2},
        {"a": 3, "$version": 3},
    ]


def test_held_patches_are_bounded():
    desired = DesiredProperties()
    desired.begin_sync()
    for version in range(2, 1000):
        desired.apply_patch({"$version": version})
    assert len(desired._held) <= 16


def test_invalid_patches_are_value_errors():
    for patch in ([], 5, {"a": 1}, {"$version": "2"}, None):
        raises(ValueError, DesiredProperties().apply_patch, patch)
    for twin in ([], {}, {"desired": 5}, {"desired": {}}):
        raises(ValueError, desired_section, twin)
    assert desired_section({"desired": {"$version": 1}}) == {"$version": 1}


def test_unreadable_section_delays_no_patch():
    desired = DesiredProperties()
    desired.begin_sync()
    assert desired.apply_patch({"a": 1, "$version": 2}) == []
    assert desired.cancel_sync() == [{"a": 1, "$version": 2}]
    assert desired.apply_patch({"b": 1, "$version": 3}) == [{"b": 1, "$version": 3}]


def test_changes_known_before_a_restart_are_not_repeated():
    desired = DesiredProperties()
    desired.known_version = 7
    desired.begin_sync()
    assert desired.apply_snapshot({"a": 1, "$version": 7}) == []
    assert desired.apply_patch({"a": 2, "$version": 8}) == [{"a": 2, "$version": 8}]
    assert desired.section["$version"] == 8
    other = DesiredProperties()
    other.known_version = 7
    other.begin_sync()
    assert other.apply_snapshot({"a": 1, "$version": 9}) == [{"a": 1, "$version": 9}]


# -- reading it ---------------------------------------------------------------------------------


class Transport:
    """Answers request_twin() as `outcomes` say: a body, an exception, or a Future of one."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.requests = 0
        self.open = True

    def prepare(self):
        pass

    def is_open(self):
        return self.open

    async def enable(self, feature):
        pass

    async def request_twin(self):
        self.requests += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Future):
            outcome = await outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome, None


def twin(**desired):
    return json.dumps({"desired": desired, "reported": {"$version": 1}}).encode()


def patch(version, **changes):
    return json.dumps(dict(changes, **{"$version": version})).encode()


def synchronized(*outcomes):
    """(Dispatcher with a handler for desired properties, its Transport, changes, problems)."""
    options = checked({"handler_timeout": 5, "timeout": 5})
    dispatcher, told, problems = Dispatcher(options), [], []
    transport = dispatcher.transport = Transport(*outcomes)
    dispatcher.set_handler("on_background_exception", problems.append)
    dispatcher.set_handler("on_twin_desired_properties_patch_received", told.append)
    return dispatcher, transport, told, problems


def on_loop(main):
    return asyncio.run(asyncio.wait_for(main(), 20))


def test_changes_since_the_last_connection_are_told():
    async def main():
        dispatcher, transport, told, problems = synchronized(
            twin(a=1, **{"$version": 3}), twin(a=1, b=2, **{"$version": 5})
        )
        part = dispatcher.part("twin")
        for count in (1, 2):
            assert dispatcher.wanted()[1] is True
            dispatcher.on_desired(patch(2 * count, a=1))  # it crosses with the answer
            await part.synchronize()
            await turns()
            assert len(told) == count
        assert told == [{"a": 1, "$version": 3}, {"b": 2, "$version": 5}]
        assert part.version == 5
        assert transport.requests == 2
        assert problems == []

    on_loop(main)


def test_gap_reads_the_whole_twin():
    async def main():
        whole = Future()
        dispatcher, transport, told, problems = synchronized(twin(**{"$version": 1}), whole)
        await dispatcher.part("twin").synchronize()
        dispatcher.on_desired(patch(3, b=1))
        dispatcher.on_desired(patch(4, c=1))  # it is held
        await turns()
        assert (transport.requests, told) == (2, [])
        whole.set_result(twin(a=1, b=1, **{"$version": 3}))
        await turns()
        assert told == [{"a": 1, "b": 1, "$version": 3}, {"c": 1, "$version": 4}]
        assert problems == []

    on_loop(main)


def test_change_that_had_no_room_is_a_gap():
    async def main():
        dispatcher, transport, told, problems = synchronized(
            twin(**{"$version": 1}), twin(a=1, **{"$version": 2})
        )
        await dispatcher.part("twin").synchronize()
        dispatcher.on_desired(None)
        await turns()
        assert (transport.requests, told) == (2, [{"a": 1, "$version": 2}])
        assert problems == []

    on_loop(main)


def test_twin_that_is_not_given_is_asked_for_again():
    async def main():
        errors = [ServiceError("busy", "twin", 429), OperationTimeout("no answer", "twin")]
        dispatcher, transport, told, problems = synchronized(*errors, twin(a=1, **{"$version": 2}))
        await dispatcher.part("twin").synchronize()
        await turns()
        assert problems == errors
        assert told == [{"a": 1, "$version": 2}]
        assert transport.requests == 3

    on_loop(main)


def test_twin_that_was_asked_for_with_connect_is_taken():
    async def main():
        answer = Future()
        dispatcher, transport, told, _ = synchronized()
        task = asyncio.create_task(dispatcher.part("twin").synchronize(answer))
        await turns()
        answer.set_result((twin(a=1, **{"$version": 2}), 7))
        await task
        await turns()
        assert told == [{"a": 1, "$version": 2}]
        assert transport.requests == 0

    on_loop(main)


def test_connection_that_ends_meanwhile_leaves_it_to_the_next_one():
    for error in (
        ConnectionDroppedError("gone", "read"),
        OperationTimeout("no answer to a ping", "ping"),
        ServiceError("by the hub", "close", "amqp:internal-error"),
        OperationCancelled("the client disconnected", "disconnect"),
    ):

        async def main(error=error):
            answer = Future()
            dispatcher, transport, told, problems = synchronized(answer)
            task = asyncio.create_task(dispatcher.part("twin").synchronize())
            await turns()
            transport.open = False
            answer.set_result(error)
            await task
            await turns()
            assert transport.requests == 1
            assert problems == []  # who lost the connection reports it

        on_loop(main)


def test_twin_that_cannot_be_read_is_reported_and_changes_are_told():
    async def main():
        for body in (b"no JSON", b"[]", b'{"desired": {}}'):
            answer = Future()
            dispatcher, _, told, problems = synchronized(answer)
            dispatcher.part("twin").begin()
            dispatcher.run(dispatcher.part("twin").synchronize)
            await turns()
            dispatcher.on_desired(patch(5, a=1))
            assert told == []
            answer.set_result(body)
            await turns()
            assert told == [{"a": 1, "$version": 5}]
            assert [isinstance(error, ValueError) for error in problems] == [True]

    on_loop(main)


def test_version_that_the_program_knows_already():
    async def main():
        dispatcher, _, told, _ = synchronized(twin(a=1, **{"$version": 7}))
        part = dispatcher.part("twin")
        part.version = 7
        assert part.version == 7
        await part.synchronize()
        dispatcher.on_desired(patch(8, a=2))
        await turns()
        assert told == [{"a": 2, "$version": 8}]
        assert part.version == 8

    on_loop(main)
