"""Telemetry over the hub's AMQP links: properties, frames, credit, refusals."""

import json

from host_tests.support.amqp_messages import EVENTS, PARTITION, device
from host_tests.support.amqp_peer import selector
from iothub.amqp.codec import Typed
from iothub.amqp.composites import (
    ACCEPTED,
    DETACH,
    DISPOSITION,
    FLOW,
    REJECTED,
    TRANSFER,
    Composite,
)
from iothub.amqp.frames import frame
from iothub.amqp.sections import VALUE, AmqpMessage
from tools.hub.core.events import partition_of


def test_telemetry_keeps_every_property(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        handle = await peer.sender(EVENTS)
        message = AmqpMessage(
            b"body",
            message_id="id",
            user_id=b"me",
            to="there",
            subject="about",
            reply_to="back",
            correlation_id=Typed("uuid", b"0123456789abcdef"),
            content_type="application/json",
            content_encoding="utf-8",
            absolute_expiry_time=1700000000000,
            creation_time=1600000000000,
            group_id="group",
            group_sequence=7,
            reply_to_group_id="other",
        )
        message.application = {
            "text": "é",
            "none": None,
            "yes": True,
            "long": -(2**40),
            "double": 1.5,
            "bytes": b"\0\xff",
            "moment": Typed("timestamp", 1234),
            "uuid": Typed("uuid", b"fedcba9876543210"),
            "small": Typed("ubyte", 5),
        }
        message.annotations = {"x-opt-output-name": "out"}
        assert (await peer.deliver(handle, message)).descriptor == ACCEPTED

        service = await testbed.amqp_service()
        await service.receiver(PARTITION + str(partition_of("dev")), filter=latest(testbed, "dev"))
        _, event = await service.message()
        for name in vars(message.properties):
            assert getattr(event.properties, name) == getattr(message.properties, name), name
        assert event.application == {**message.application, "small": 5}
        annotations = event.annotations
        assert annotations["iothub-connection-device-id"] == "dev"
        assert annotations["iothub-connection-output-name"] == "out"
        assert annotations["iothub-message-source"] == "Telemetry"
        assert json.loads(annotations["iothub-connection-auth-method"])["type"] == "sas"
        assert annotations["x-opt-enqueued-time"].kind == "timestamp"
        assert annotations["iothub-enqueuedtime"].kind == "timestamp"
        assert isinstance(annotations["x-opt-sequence-number"], int)
        assert isinstance(annotations["x-opt-offset"], str)
        assert event.body == b"body"

    on_hub(scenario)


def latest(testbed, device_id):
    """A filter for the newest event of the device's partition, and all later ones."""
    newest = testbed.hub.core.events.last(partition_of(device_id))
    return selector(f"amqp.annotation.x-opt-sequence-number >= '{newest}'")


def test_telemetry_of_many_frames(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        handle = await peer.sender(EVENTS)
        data = AmqpMessage(bytes(range(256)) * 1000).encode()
        number = peer.transfer(handle, data[:700], more=True)
        for at in range(700, len(data), 60000):
            more = at + 60000 < len(data)
            peer.send(Composite(TRANSFER, handle=handle, more=more), data[at : at + 60000])
        assert (await peer.expect(DISPOSITION)).first == number

        service = await testbed.amqp(testbed.service_token(), max_frame_size=512)
        await service.receiver(PARTITION + str(partition_of("dev")), filter=latest(testbed, "dev"))
        assert (await service.message())[1].body == bytes(range(256)) * 1000

    on_hub(scenario)


def test_aborted_telemetry_is_discarded(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        handle = await peer.sender(EVENTS)
        before = testbed.hub.core.events.last(partition_of("dev"))
        peer.transfer(handle, AmqpMessage(b"half").encode()[:4], more=True)
        peer.send(Composite(TRANSFER, handle=handle, aborted=True))
        await peer.deliver(handle, AmqpMessage(b"whole"))
        events = await testbed.hub.core.events.read(partition_of("dev"), before, 10)
        assert [event["body"] for event in events] == [b"whole"]

    on_hub(scenario)


def test_settled_telemetry_has_no_disposition(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        handle = await peer.sender(EVENTS)
        peer.transfer(handle, AmqpMessage(b"one").encode(), settled=True)
        assert await peer.deliver(handle, AmqpMessage(b"two"))  # asserts that it is its own
        events = await testbed.service.local.stored_events("dev")
        assert [event["body"] for event in events[-2:]] == [b"one", b"two"]

    on_hub(scenario)


def test_refused_telemetry(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        handle = await peer.sender(EVENTS)
        listed = AmqpMessage(b"")
        listed.application = {"a": [1, 2]}
        for message, condition in (
            (AmqpMessage(b"x" * (256 * 1024 + 1)), "amqp:link:message-size-exceeded"),
            (AmqpMessage([1], VALUE), "com.microsoft:argument-error"),
            (listed, "com.microsoft:argument-error"),
        ):
            peer_max = 60000
            data = message.encode()
            peer.transfer(handle, data[:peer_max], more=len(data) > peer_max)
            for at in range(peer_max, len(data), peer_max):
                more = at + peer_max < len(data)
                peer.send(Composite(TRANSFER, handle=handle, more=more), data[at : at + peer_max])
            state = (await peer.expect(DISPOSITION)).state
            assert (state.descriptor, state.error.condition) == (REJECTED, condition)
        peer.transfer(handle, b"no message")
        state = (await peer.expect(DISPOSITION)).state
        assert state.error.condition == "amqp:decode-error"
        assert (await peer.deliver(handle, AmqpMessage(b"fine"))).descriptor == ACCEPTED

    on_hub(scenario)


def test_endless_message_detaches_the_link(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        handle = await peer.sender(EVENTS)
        peer.transfer(handle, b"x" * 60000, more=True)
        for _ in range(6):
            peer.send(Composite(TRANSFER, handle=handle, more=True), b"x" * 60000)
        assert (await peer.expect(DETACH)).error.condition == "amqp:link:message-size-exceeded"

    on_hub(scenario)


def test_credit_is_replenished(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        _, handle = await peer.attach(EVENTS, False)
        sent = limit = 0
        for _ in range(3):
            while limit <= sent:
                flow = await peer.expect(FLOW)
                assert flow.handle == handle
                limit = flow.delivery_count + flow.link_credit
            while sent < limit:
                peer.transfer(handle, AmqpMessage(b"x").encode(), settled=True)
                sent += 1

    on_hub(scenario)


def test_message_without_credit_detaches_the_link(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        _, handle = await peer.attach(EVENTS, False)
        credit = (await peer.expect(FLOW)).link_credit
        transfer = Composite(TRANSFER, handle=handle, delivery_id=0, settled=True)
        peer.write(frame(0, transfer, AmqpMessage(b"x").encode()) * (credit + 1))
        detach = await peer.expect(DETACH)
        assert detach.error.condition == "amqp:link:transfer-limit-exceeded"

    on_hub(scenario)
