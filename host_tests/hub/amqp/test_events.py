"""The hub's AMQP events for a service: the redirect, feedback, the management node."""

import json

from host_tests.support.amqp_messages import EVENTS, PARTITION, device
from host_tests.support.amqp_peer import selector
from iothub.amqp.codec import Typed
from iothub.amqp.composites import (
    ATTACH,
    CLOSE,
    DETACH,
    RELEASED,
    Composite,
)
from iothub.amqp.sections import VALUE, AmqpMessage
from tools.hub.core.events import PARTITIONS, partition_of


def test_events_are_redirected(on_hub):
    async def scenario(testbed):
        peer = await testbed.peer()
        await peer.open()
        await peer.begin()
        await peer.put_token(testbed.service_token())
        await peer.attach("/messages/events/ConsumerGroups/$Default/Partitions/2", True)
        error = (await peer.expect(DETACH)).error
        port = testbed.hub.ports["amqp_port"]
        assert error.condition == "amqp:link:redirect"
        assert error.info == {
            "hostname": "localhost",
            "network-host": "localhost",
            "port": port,
            "address": f"amqps://localhost:{port}/{PARTITION}2",
        }
        await peer.receiver(error.info["address"])

    on_hub(scenario)


def test_filters(on_hub):
    async def scenario(testbed):
        sender = await device(testbed)
        handle = await sender.sender(EVENTS)
        partition = partition_of("dev")
        for body in (b"0", b"1", b"2"):
            testbed.clock.ahead += 10  # so that each has its own time
            await sender.deliver(handle, AmqpMessage(body))
        events = (await testbed.hub.core.events.read(partition, -1, 100))[-3:]
        middle = events[1]
        moment = int(middle["enqueued"] * 1000)
        service = await testbed.amqp_service()
        annotation = "amqp.annotation.x-opt-"
        for text, expected in (
            (f"{annotation}sequence-number > {middle['sequenceNumber']}", [b"2"]),
            (f"{annotation}sequence-number >= '{middle['sequenceNumber']}'", [b"1", b"2"]),
            (f"{annotation}offset > '{middle['position']}'", [b"2"]),
            (f"{annotation}offset >= '{middle['position']}'", [b"1", b"2"]),
            (f"{annotation}enqueued-time > '{moment}'", [b"2"]),
            (f"{annotation}enqueued-time >= {moment}", [b"1", b"2"]),
            (f"{annotation}offset > '{middle['position']}'".encode(), [b"2"]),
            (f"{annotation}offset > '@latest'", []),
            (f"{annotation}sequence-number > '99999'", []),
        ):
            await service.receiver(PARTITION + str(partition), filter=selector(text))
            for body in expected:
                assert (await service.message())[1].body == body, text
        for text in ("nonsense", f"{annotation}colour > 3", f"{annotation}offset < 3", 5):
            await service.attach(PARTITION + "0", True, filter=selector(text))
            detach = await service.expect(DETACH)
            assert detach.error.condition == "amqp:invalid-field", text

    on_hub(scenario)


def test_new_events_are_sent_at_once(on_hub):
    async def scenario(testbed):
        sender = await device(testbed)
        handle = await sender.sender(EVENTS)
        service = await testbed.amqp_service()
        address = PARTITION + str(partition_of("dev"))
        filters = selector("amqp.annotation.x-opt-offset > '@latest'")
        reader = await service.receiver(address, credit=2, filter=filters)
        for count in range(5):
            await sender.deliver(handle, AmqpMessage(str(count).encode()))
        for count in range(2):
            transfer, event = await service.message()
            assert transfer.settled
            assert event.body == str(count).encode()
        service.credit(reader, 10, count=2)
        for count in range(2, 5):
            assert (await service.message())[1].body == str(count).encode()

    on_hub(scenario)


def test_management(on_hub):
    async def scenario(testbed):
        async def read(kind, **fields):
            service = await testbed.amqp_service()
            message = AmqpMessage(None, VALUE, message_id=Typed("uuid", b"0123456789abcdef"))
            message.application = {
                "operation": "READ",
                "type": "com.microsoft:" + kind,
                "name": "iothub-ehub-local",
                **fields,
            }
            answer = await service.request("$management", message)
            assert answer.properties.correlation_id == message.properties.message_id
            return answer.application["status-code"].value, answer.body

        await testbed.new()
        status, body = await read("eventhub")
        assert status == 200
        assert body["partition_ids"] == Typed("array", ("string", ["0", "1", "2", "3"]))
        status, body = await read("partition", partition=str(partition_of("dev")))
        assert status == 200
        assert body["last_enqueued_sequence_number"] == 0
        assert body["is_partition_empty"] is False
        empty = str((partition_of("dev") + 1) % PARTITIONS)
        assert (await read("partition", partition=empty))[1]["is_partition_empty"] is True
        assert (await read("partition", partition="17"))[0] == 404
        assert (await read("eventhub", name="another"))[0] == 404
        assert (await read("other"))[0] == 400
        assert (await read("eventhub", operation="WRITE"))[0] == 400

    on_hub(scenario)


def test_higher_epoch_takes_the_partition(on_hub):
    async def scenario(testbed):
        async def reader(epoch):
            service = await testbed.amqp_service()
            properties = {"com.microsoft:epoch": epoch}
            await service.receiver(PARTITION + "0", properties=properties)
            return service

        first = await reader(1)
        second = await reader(2)
        assert (await first.expect(DETACH)).error.condition == "amqp:link:stolen"
        late = await reader(1)
        assert (await late.expect(DETACH)).error.condition == "amqp:link:stolen"
        second.abort()

    on_hub(scenario)


def test_feedback_is_kept_until_it_is_settled(on_hub):
    async def scenario(testbed):
        await testbed.new()
        await testbed.service.send_c2d_message("dev", b"1", ack="full", message_id="a")
        testbed.hub.core.identities.get("dev").queue.purge()
        for leave in ("close", "release", "accept"):
            service = await testbed.amqp_service()
            await service.receiver("/messages/serviceBound/feedback")
            transfer, message = await service.message()
            (record,) = json.loads(message.body)
            assert (record["originalMessageId"], record["statusCode"]) == ("a", "Purged")
            assert record["enqueuedTimeUtc"].endswith("Z")
            if leave == "close":
                service.send(Composite(CLOSE))
                await service.closed()
            elif leave == "release":
                service.settle(transfer, RELEASED)
                transfer, _ = await service.message()
                service.send(Composite(CLOSE))
                await service.closed()
            else:
                service.settle(transfer)

    on_hub(scenario)


def test_link_can_be_attached_again(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        for _ in range(3):
            handle = await peer.sender(EVENTS)
            await peer.deliver(handle, AmqpMessage(b"x"))
            peer.send(Composite(DETACH, handle=handle, closed=True))
            assert (await peer.expect(DETACH)).handle == handle
        peer.send(Composite(ATTACH, name="no address", handle=9, role=True))
        await peer.expect(ATTACH)
        assert (await peer.expect(DETACH)).error.condition == "amqp:not-implemented"

    on_hub(scenario)
