"""iothub_service against hubs in memory: what is lost, refused, detached or given up."""

import asyncio
import json

import pytest

from host_tests.support.memory_amqp import AMQPHubStream
from host_tests.support.memory_amqp import error as refusal
from host_tests.support.tasks import cancel, failure, turns, until
from iothub.amqp.composites import RELEASED
from iothub.amqp.sections import AmqpMessage
from iothub.errors import (
    ConnectionDroppedError,
    CredentialError,
    NoConnectionError,
    OperationCancelled,
    ServiceError,
)
from iothub_service import connection as module
from iothub_service.client import IoTHubServiceClient

TEXT = "HostName=h;SharedAccessKeyName=service;SharedAccessKey=" + "A" * 43 + "="
SENDER, FEEDBACK = "/messages/devicebound", "/messages/serviceBound/feedback"


class Scene:
    """hubs: what was dialled; next: hubs, or errors, of the dials to come."""

    def __init__(self, **options):
        self.hubs, self.next = [], []
        self.client = IoTHubServiceClient.create_from_connection_string(TEXT, **options)
        self.problems = []
        self.client.on_background_exception = self.problems.append

    async def dial(self, *_arguments):
        outcome = self.next.pop(0) if self.next else AMQPHubStream()
        if isinstance(outcome, Exception):
            raise outcome
        self.hubs.append(outcome)
        return outcome

    @property
    def hub(self):
        return self.hubs[-1]

    def send(self, body):
        return asyncio.create_task(self.client.send_c2d_message("d", body))

    def sent(self):
        return [message.body for message in self.hub.messages(SENDER)]


@pytest.fixture
def scene(monkeypatch):
    """Run a test with a Scene, and close its client."""

    def run(test, **options):
        async def main():
            one = Scene(**options)
            monkeypatch.setattr(module, "dial", one.dial)
            await test(one)
            await one.client.close()
            for hub in one.hubs:
                assert hub.closed

        asyncio.run(asyncio.wait_for(main(), 30))

    return run


def records(*message_ids):
    return AmqpMessage(json.dumps([{"originalMessageId": one} for one in message_ids]).encode())


def test_message_is_sent_with_its_address(scene):
    async def test(one):
        await one.client.send_c2d_message("a b", "hello", ack="full", module_id="m")
        (message,) = one.hub.messages(SENDER)
        assert message.body == b"hello"
        assert message.properties.to == "/devices/a%20b/modules/m/messages/devicebound"
        assert message.application == {"iothub-ack": "full"}
        (put,) = one.hub.messages("$cbs")
        assert put.application["name"] == "h"
        assert "&skn=service" in put.body

    scene(test)


def test_message_goes_through_a_lost_connection(scene):
    async def test(one):
        await one.send(b"a")
        one.hub.outcomes = [None, RELEASED]
        tasks = [one.send(body) for body in (b"b", b"c")]
        await tasks[1]
        one.hub.end()
        await tasks[0]
        assert len(one.hubs) == 2
        assert one.sent() == [b"b"]
        await turns()
        assert [type(error) for error in one.problems] == [ConnectionDroppedError]

    scene(test)


def test_link_that_the_hub_ends_fails_what_waits_and_is_attached_again(scene):
    async def test(one):
        await one.send(b"a")
        one.hub.outcomes = [None]
        task = one.send(b"b")
        await turns()
        one.hub.detach(SENDER, "amqp:internal-error")
        error = await failure(task)
        assert isinstance(error, ServiceError)
        assert error.stage == "link"
        await asyncio.wait_for(one.send(b"c"), 5)
        assert one.sent() == [b"a", b"b", b"c"]
        assert len(one.hubs) == 1

    scene(test)


def test_link_that_is_refused_fails_all_who_wait_for_it(scene):
    async def test(one):
        one.next.append(AMQPHubStream())
        one.next[0].refuse[SENDER] = refusal("amqp:not-allowed")
        tasks = [one.send(body) for body in (b"a", b"b", b"c")]
        for task in tasks:
            error = await failure(task)
            assert isinstance(error, ServiceError)
            assert error.code == "amqp:not-allowed"
        one.hub.refuse = {}
        await asyncio.wait_for(one.send(b"d"), 5)
        assert one.sent() == [b"d"]

    scene(test)


def test_first_message_that_is_given_up_does_not_stop_the_others(scene):
    async def test(one):
        one.next.append(AMQPHubStream())
        one.next[0].silent.add(SENDER)
        first, second = one.send(b"a"), one.send(b"b")
        await until(lambda: one.hubs and SENDER in one.hub.addresses())
        await turns()
        await cancel(first)
        assert isinstance(await failure(second), OperationCancelled)
        one.hub.silent = set()
        await asyncio.wait_for(one.send(b"c"), 5)
        assert one.sent() == [b"c"]

    scene(test)


def test_without_connection_retry_what_waits_fails(scene):
    async def test(one):
        feedback = await one.client.feedback()
        await one.send(b"a")
        one.hub.outcomes = [None]
        task, reading = one.send(b"b"), asyncio.create_task(anext(feedback))
        await turns()
        one.hub.end()
        assert isinstance(await failure(task), ConnectionDroppedError)
        assert isinstance(await failure(reading), ConnectionDroppedError)
        await asyncio.wait_for(one.send(b"c"), 5)  # on a new connection
        assert one.sent() == [b"c"]

    scene(test, connection_retry=False)


def test_close_ends_what_waits(scene):
    async def test(one):
        feedback = await one.client.feedback()
        await one.client.connect()
        await one.send(b"a")
        one.hub.outcomes = [None]
        task, reading = one.send(b"b"), asyncio.create_task(anext(feedback))
        await turns()
        await one.client.close()
        for waiting in (task, reading):
            assert isinstance(await failure(waiting), OperationCancelled)
        assert isinstance(await failure(one.send(b"c")), NoConnectionError)

    scene(test)


def test_feedback_is_settled_when_the_next_record_is_asked_for(scene):
    async def test(one):
        feedback = await one.client.feedback()
        one.hub.deliver(FEEDBACK, records("1", "2"))
        one.hub.deliver(FEEDBACK, records("3"))
        assert (await anext(feedback))["originalMessageId"] == "1"
        assert (await anext(feedback))["originalMessageId"] == "2"
        await turns()
        assert one.hub.dispositions() == []
        assert (await anext(feedback))["originalMessageId"] == "3"
        await turns()
        assert len(one.hub.dispositions()) == 1
        one.hub.end()
        await until(lambda: len(one.hubs) == 2)
        await until(lambda: FEEDBACK in one.hub.addresses())
        await turns()
        one.hub.deliver(FEEDBACK, records("3"))  # it was not settled, and comes again
        assert (await anext(feedback))["originalMessageId"] == "3"
        assert one.hub.dispositions() == []

    scene(test)


def test_token_that_is_refused(scene):
    async def test(one):
        one.next.append(AMQPHubStream())
        one.next[0].statuses = [401]
        assert isinstance(await failure(one.client.connect()), CredentialError)
        await one.client.connect()

    scene(test)
