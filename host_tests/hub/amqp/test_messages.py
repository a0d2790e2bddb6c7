"""C2D messages over the hub's AMQP links: settlement, credit, locks, ownership."""

import json

from host_tests.support.amqp_messages import EVENTS, MESSAGES, c2d, device
from iothub.amqp.codec import Typed
from iothub.amqp.composites import (
    ACCEPTED,
    DETACH,
    DISPOSITION,
    FLOW,
    MODIFIED,
    REJECTED,
    RELEASED,
    TRANSFER,
    Composite,
)
from iothub.amqp.sections import AmqpMessage


def test_message_reaches_the_device_with_its_properties(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        service = await testbed.amqp_service()
        handle = await service.sender("amqps://localhost/messages/devicebound")
        sent = c2d(b"hello", Typed("uuid", b"0123456789abcdef"), content_type="text/plain")
        sent.application["n"] = 5
        assert (await service.deliver(handle, sent)).descriptor == ACCEPTED
        await peer.receiver(MESSAGES)
        transfer, message = await peer.message()
        assert message.body == b"hello"
        assert message.properties.message_id == sent.properties.message_id
        assert message.properties.to == MESSAGES
        assert message.properties.content_type == "text/plain"
        assert message.application == {"n": 5, "iothub-ack": "full"}
        assert message.header.delivery_count == 0
        peer.settle(transfer)
        assert await statuses(testbed, 1) == ["Success"]

    on_hub(scenario)


async def statuses(testbed, count):
    """The statuses of `count` feedback records that a service reads."""
    service = await testbed.amqp_service()
    await service.receiver("/messages/serviceBound/feedback")
    found = []
    while len(found) < count:
        transfer, message = await service.message()
        assert message.properties.content_type == "application/vnd.microsoft.iothub.feedback.json"
        found += [record["statusCode"] for record in json.loads(message.body)]
        service.settle(transfer, settled=False)
        await service.expect(DISPOSITION)
    service.abort()  # or the next record would go to it
    return found


def test_outcomes(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        await peer.receiver(MESSAGES)
        for number, (settle, comes_again) in enumerate(
            (
                ({"descriptor": RELEASED}, True),
                ({"descriptor": MODIFIED, "delivery_failed": True}, True),
                ({"descriptor": MODIFIED, "undeliverable_here": True}, False),
                ({"descriptor": REJECTED}, False),
                ({"descriptor": ACCEPTED}, False),
                ({"descriptor": ACCEPTED, "settled": False}, False),
            )
        ):
            body = str(number).encode()
            await testbed.service.send_c2d_message("dev", body)
            transfer, message = await peer.message()
            assert message.body == body
            peer.settle(transfer, **settle)
            if not settle.get("settled", True):
                answer = await peer.expect(DISPOSITION)
                assert (answer.role, answer.settled, answer.first) == (
                    False,
                    True,
                    transfer.delivery_id,
                )
            if comes_again:
                transfer, message = await peer.message()
                assert (message.body, message.header.delivery_count) == (body, 1)
                peer.settle(transfer)
        assert (await testbed.service.get_device("dev"))["cloudToDeviceMessageCount"] == 0

    on_hub(scenario)


def test_message_is_delivered_at_most_ten_times(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        await peer.receiver(MESSAGES, credit=100)
        await testbed.service.send_c2d_message("dev", b"unwanted", ack="full", message_id="u")
        for count in range(10):
            transfer, message = await peer.message()
            assert message.header.delivery_count == count
            peer.settle(transfer, RELEASED)
        assert await statuses(testbed, 1) == ["DeliveryCountExceeded"]

    on_hub(scenario)


def test_lock_expires_after_a_minute(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        await peer.receiver(MESSAGES)
        await testbed.service.send_c2d_message("dev", b"slow", ack="full")
        first, _ = await peer.message()
        testbed.clock.ahead = 61
        testbed.hub.core.sweep()
        second, message = await peer.message()
        assert message.header.delivery_count == 1
        peer.settle(second)
        peer.settle(first, settled=False)
        answer = await peer.expect(DISPOSITION)
        assert answer.state.error.condition == "com.microsoft:message-lock-lost"

    on_hub(scenario)


def test_messages_wait_for_credit(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        handle = await peer.receiver(MESSAGES, credit=1)
        for body in (b"1", b"2", b"3"):
            await testbed.service.send_c2d_message("dev", body)
        assert (await peer.message())[1].body == b"1"
        peer.credit(handle, 5, count=1, drain=True)
        assert (await peer.message())[1].body == b"2"
        assert (await peer.message())[1].body == b"3"
        flow = await peer.expect(FLOW)  # what is left of the credit is used up
        assert (flow.link_credit, flow.delivery_count, flow.drain) == (0, 6, True)

    on_hub(scenario)


def test_transfers_wait_for_the_session_window(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        peer = await testbed.amqp_device("dev", key)
        _, handle = await peer.attach(MESSAGES, True)
        await testbed.service.send_c2d_message("dev", b"1")
        await testbed.service.send_c2d_message("dev", b"2")
        peer.send(
            Composite(
                FLOW,
                next_incoming_id=1,  # the answer to put-token was transfer 0
                incoming_window=1,
                next_outgoing_id=0,
                outgoing_window=10,
                handle=handle,
                link_credit=10,
            )
        )
        assert (await peer.message())[1].body == b"1"
        peer.credit(handle, 8, count=2)  # a wider window
        assert (await peer.message())[1].body == b"2"

    on_hub(scenario)


def test_refused_c2d_messages(on_hub):
    async def scenario(testbed):
        await testbed.new()
        service = await testbed.amqp_service()
        handle = await service.sender("/messages/devicebound")
        wrong_ack = c2d(b"")
        wrong_ack.application["iothub-ack"] = "maybe"
        for message, condition in (
            (c2d(b"", to="/devices/nobody/messages/devicebound"), "amqp:not-found"),
            (c2d(b"", to="dev"), "com.microsoft:argument-error"),
            (wrong_ack, "com.microsoft:argument-error"),
            (c2d(b"x" * 65537), "amqp:link:message-size-exceeded"),
        ):
            data = message.encode()
            service.transfer(handle, data[:60000], more=len(data) > 60000)
            if len(data) > 60000:
                service.send(Composite(TRANSFER, handle=handle), data[60000:])
            state = (await service.expect(DISPOSITION)).state
            assert (state.descriptor, state.error.condition) == (REJECTED, condition)
        for _ in range(50):
            assert (await service.deliver(handle, c2d(b"x"))).descriptor == ACCEPTED
        state = await service.deliver(handle, c2d(b"one too many"))
        assert state.error.condition == "amqp:resource-limit-exceeded"

    on_hub(scenario)


def test_device_reports_outcomes_by_message(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        await testbed.service.send_c2d_message("dev", b"1", ack="full", message_id="a")
        await testbed.service.send_c2d_message("dev", b"2", ack="full", message_id="b")
        await peer.receiver(MESSAGES)
        await peer.message()
        await peer.message()
        handle = await peer.sender("/messages/serviceBound/feedback")
        records = [
            {"originalMessageId": "a", "deviceId": "dev", "statusCode": "Success"},
            {"originalMessageId": "b", "deviceId": "dev", "statusCode": "Rejected"},
        ]
        state = await peer.deliver(handle, AmqpMessage(json.dumps(records).encode()))
        assert state.descriptor == ACCEPTED
        assert await statuses(testbed, 2) == ["Success", "Rejected"]
        for body in (b"5", b"nonsense", json.dumps(records).encode(), b"[1]"):
            state = await peer.deliver(handle, AmqpMessage(body))
            assert state.descriptor == REJECTED

    on_hub(scenario)


def test_second_link_takes_over_the_messages(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        first = await testbed.amqp_device("dev", key)
        await first.receiver(MESSAGES)
        second = await testbed.amqp_device("dev", key)
        await second.receiver(MESSAGES)
        assert (await first.expect(DETACH)).error.condition == "amqp:link:stolen"
        await testbed.service.send_c2d_message("dev", b"for the second")
        assert (await second.message())[1].body == b"for the second"

    on_hub(scenario)


def test_mqtt_takes_over_from_amqp(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        peer = await testbed.amqp_device("dev", key)
        await peer.receiver(MESSAGES)
        taker, _ = await testbed.device("dev", key)
        assert (await peer.expect(DETACH)).error.condition == "amqp:link:detach-forced"
        record = await testbed.service.get_device("dev")
        assert record["connectionState"] == "Connected"
        taker.abort()

    on_hub(scenario)


def test_device_is_connected_while_it_has_links(on_hub):
    async def scenario(testbed):
        async def state():
            return (await testbed.service.get_device("dev"))["connectionState"]

        peer = await device(testbed)
        assert await state() == "Disconnected"
        handle = await peer.sender(EVENTS)
        assert await state() == "Connected"
        peer.send(Composite(DETACH, handle=handle, closed=True))
        await peer.expect(DETACH)
        assert await state() == "Disconnected"

    on_hub(scenario)


def test_disabled_device_loses_its_links(on_hub):
    async def scenario(testbed):
        peer = await device(testbed)
        await peer.sender(EVENTS)
        await testbed.service.update_device("dev", status="disabled")
        assert (await peer.expect(DETACH)).error.condition == "amqp:link:detach-forced"
        await peer.attach(EVENTS, False)
        assert (await peer.expect(DETACH)).error.condition == "amqp:unauthorized-access"

    on_hub(scenario)
