"""Device twin and direct methods over the hub's AMQP links."""

import asyncio
import json

from host_tests.support.amqp_messages import device
from iothub.amqp.codec import Typed
from iothub.amqp.composites import (
    ACCEPTED,
    REJECTED,
)
from iothub.amqp.sections import AmqpMessage


def twin_request(operation, resource=None, body=b" "):
    message = AmqpMessage(body, correlation_id="c-" + operation)
    message.annotations = {"operation": operation}
    if resource:
        message.annotations["resource"] = resource
    return message


def test_twin(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        sender = await peer.sender("/devices/dev/twin")
        await peer.receiver("/devices/dev/twin")

        async def ask(*request):
            peer.transfer(sender, twin_request(*request).encode(), settled=True)
            _, answer = await peer.message()
            assert answer.properties.correlation_id == "c-" + request[0]
            return answer.annotations["status"].value, answer

        status, answer = await ask("GET")
        assert status == 200
        assert json.loads(answer.body) == {
            "desired": {"$version": 1},
            "reported": {"$version": 1},
        }
        status, answer = await ask("PATCH", "/properties/reported", b'{"a": {"b": 1}}')
        assert (status, answer.annotations["version"]) == (200, 2)
        twin = await testbed.service.get_twin("dev")
        assert twin["properties"]["reported"]["a"] == {"b": 1}

        desired = "/notifications/twin/properties/desired"
        await testbed.service.patch_twin("dev", {"properties": {"desired": {"untold": 1}}})
        assert (await ask("PUT", desired))[0] == 200
        await testbed.service.patch_twin("dev", {"properties": {"desired": {"speed": 3}}})
        _, push = await peer.message()
        assert push.properties is None
        assert json.loads(push.body) == {"speed": 3, "$version": 3}
        assert (await ask("DELETE", desired))[0] == 200
        await testbed.service.patch_twin("dev", {"properties": {"desired": {"speed": 4}}})

        for request in (
            ("PATCH", "/properties/reported", b"nonsense"),
            ("PATCH", "/properties/reported", b"[1]"),
            ("PATCH", "/properties/desired", b"{}"),
            ("POST",),
        ):
            status, answer = await ask(*request)
            assert status == 400
            assert json.loads(answer.body)["errorCode"] == 400004

    on_hub(scenario)


def test_methods(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        address = "/devices/dev/methods/devicebound"
        sender = await peer.sender(address)
        await peer.receiver(address)
        calling = asyncio.create_task(testbed.service.invoke_method("dev", "go", {"far": [1]}))
        _, call = await peer.message()
        assert call.application == {"IoThub-methodname": "go"}
        assert json.loads(call.body) == {"far": [1]}
        answer = AmqpMessage(b'"there"', correlation_id=call.properties.correlation_id)
        answer.application = {"IoThub-status": Typed("int", 207)}
        await peer.deliver(sender, answer)
        assert await calling == (207, "there")
        late = AmqpMessage(b"", correlation_id="nobody waits")
        late.application = {"IoThub-status": 200}
        assert (await peer.deliver(sender, late)).descriptor == ACCEPTED
        late.application = {}
        assert (await peer.deliver(sender, late)).descriptor == REJECTED

    on_hub(scenario)
