"""AMQP links: telemetry, messages, twin, methods, feedback and events; credit and settlement."""

import asyncio
import json

from amqp_peer import selector

from iothub.amqp.codec import Typed
from iothub.amqp.composites import (
    ACCEPTED,
    ATTACH,
    CLOSE,
    DETACH,
    DISPOSITION,
    FLOW,
    MODIFIED,
    REJECTED,
    RELEASED,
    TRANSFER,
    Composite,
)
from iothub.amqp.frames import frame
from iothub.amqp.sections import VALUE, AmqpMessage
from tools.hub.core.events import PARTITIONS, partition_of

EVENTS = "/devices/dev/messages/events"
MESSAGES = "/devices/dev/messages/devicebound"
PARTITION = "iothub-ehub-local/ConsumerGroups/$Default/Partitions/"


async def device(bench):
    return await bench.amqp_device("dev", await bench.new())


def c2d(body, message_id="m", to="/devices/dev/messages/devicebound", **fields):
    message = AmqpMessage(body, message_id=message_id, to=to, **fields)
    message.application = {"iothub-ack": "full"}
    return message


# -- telemetry ----------------------------------------------------------------------------------


def test_telemetry_keeps_every_property(on_hub):
    async def scenario(bench):
        peer = await device(bench)
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

        service = await bench.amqp_service()
        await service.receiver(PARTITION + str(partition_of("dev")), filter=latest(bench, "dev"))
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


def latest(bench, device_id):
    """A filter for the newest event of the device's partition, and what follows."""
    newest = bench.hub.core.events.last(partition_of(device_id))
    return selector(f"amqp.annotation.x-opt-sequence-number >= '{newest}'")


def test_telemetry_of_many_frames(on_hub):
    async def scenario(bench):
        peer = await device(bench)
        handle = await peer.sender(EVENTS)
        data = AmqpMessage(bytes(range(256)) * 1000).encode()
        number = peer.transfer(handle, data[:700], more=True)
        for at in range(700, len(data), 60000):
            more = at + 60000 < len(data)
            peer.send(Composite(TRANSFER, handle=handle, more=more), data[at : at + 60000])
        assert (await peer.expect(DISPOSITION)).first == number

        service = await bench.amqp(bench.service_token(), max_frame_size=512)
        await service.receiver(PARTITION + str(partition_of("dev")), filter=latest(bench, "dev"))
        assert (await service.message())[1].body == bytes(range(256)) * 1000

    on_hub(scenario)


def test_what_was_aborted_never_arrives(on_hub):
    async def scenario(bench):
        peer = await device(bench)
        handle = await peer.sender(EVENTS)
        before = bench.hub.core.events.last(partition_of("dev"))
        peer.transfer(handle, AmqpMessage(b"half").encode()[:4], more=True)
        peer.send(Composite(TRANSFER, handle=handle, aborted=True))
        await peer.deliver(handle, AmqpMessage(b"whole"))
        events = await bench.hub.core.events.read(partition_of("dev"), before, 10)
        assert [event["body"] for event in events] == [b"whole"]

    on_hub(scenario)


def test_settled_telemetry_has_no_disposition(on_hub):
    async def scenario(bench):
        peer = await device(bench)
        handle = await peer.sender(EVENTS)
        peer.transfer(handle, AmqpMessage(b"one").encode(), settled=True)
        assert await peer.deliver(handle, AmqpMessage(b"two"))  # asserts that it is its own
        assert [e["body"] for e in await bench.service.events("dev")][-2:] == [b"one", b"two"]

    on_hub(scenario)


def test_telemetry_that_is_refused(on_hub):
    async def scenario(bench):
        peer = await device(bench)
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


def test_a_message_without_end_detaches_the_link(on_hub):
    async def scenario(bench):
        peer = await device(bench)
        handle = await peer.sender(EVENTS)
        peer.transfer(handle, b"x" * 60000, more=True)
        for _ in range(6):
            peer.send(Composite(TRANSFER, handle=handle, more=True), b"x" * 60000)
        assert (await peer.expect(DETACH)).error.condition == "amqp:link:message-size-exceeded"

    on_hub(scenario)


def test_credit_is_given_again_and_again(on_hub):
    async def scenario(bench):
        peer = await device(bench)
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


def test_more_than_there_is_credit_for_detaches_the_link(on_hub):
    async def scenario(bench):
        peer = await device(bench)
        _, handle = await peer.attach(EVENTS, False)
        credit = (await peer.expect(FLOW)).link_credit
        transfer = Composite(TRANSFER, handle=handle, delivery_id=0, settled=True)
        peer.write(frame(0, transfer, AmqpMessage(b"x").encode()) * (credit + 1))
        detach = await peer.expect(DETACH)
        assert detach.error.condition == "amqp:link:transfer-limit-exceeded"

    on_hub(scenario)


# -- messages -----------------------------------------------------------------------------------


def test_a_message_reaches_the_device_with_its_properties(on_hub):
    async def scenario(bench):
        peer = await device(bench)
        service = await bench.amqp_service()
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
        assert await statuses(bench, 1) == ["Success"]

    on_hub(scenario)


async def statuses(bench, count):
    """The status of `count` feedback records, read by a service."""
    service = await bench.amqp_service()
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
    async def scenario(bench):
        peer = await device(bench)
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
            await bench.service.send_c2d("dev", body)
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
        assert (await bench.service.get_device("dev"))["cloudToDeviceMessageCount"] == 0

    on_hub(scenario)


def test_ten_deliveries_are_enough(on_hub):
    async def scenario(bench):
        peer = await device(bench)
        await peer.receiver(MESSAGES, credit=100)
        await bench.service.send_c2d("dev", b"unwanted", ack="full", message_id="u")
        for count in range(10):
            transfer, message = await peer.message()
            assert message.header.delivery_count == count
            peer.settle(transfer, RELEASED)
        assert await statuses(bench, 1) == ["DeliveryCountExceeded"]

    on_hub(scenario)


def test_a_lock_is_lost_after_a_minute(on_hub):
    async def scenario(bench):
        peer = await device(bench)
        await peer.receiver(MESSAGES)
        await bench.service.send_c2d("dev", b"slow", ack="full")
        first, _ = await peer.message()
        bench.clock.ahead = 61
        bench.hub.core.sweep()
        second, message = await peer.message()
        assert message.header.delivery_count == 1
        peer.settle(second)
        peer.settle(first, settled=False)
        answer = await peer.expect(DISPOSITION)
        assert answer.state.error.condition == "com.microsoft:message-lock-lost"

    on_hub(scenario)


def test_messages_wait_for_credit(on_hub):
    async def scenario(bench):
        peer = await device(bench)
        handle = await peer.receiver(MESSAGES, credit=1)
        for body in (b"1", b"2", b"3"):
            await bench.service.send_c2d("dev", body)
        assert (await peer.message())[1].body == b"1"
        peer.credit(handle, 5, count=1, drain=True)
        assert (await peer.message())[1].body == b"2"
        assert (await peer.message())[1].body == b"3"
        flow = await peer.expect(FLOW)  # what is left of the credit is used up
        assert (flow.link_credit, flow.delivery_count, flow.drain) == (0, 6, True)

    on_hub(scenario)


def test_transfers_wait_for_the_sessions_window(on_hub):
    async def scenario(bench):
        key = await bench.new()
        peer = await bench.amqp_device("dev", key)
        _, handle = await peer.attach(MESSAGES, True)
        await bench.service.send_c2d("dev", b"1")
        await bench.service.send_c2d("dev", b"2")
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


def test_messages_to_send_that_are_refused(on_hub):
    async def scenario(bench):
        await bench.new()
        service = await bench.amqp_service()
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


def test_a_device_says_by_message_what_became_of_its_messages(on_hub):
    async def scenario(bench):
        peer = await device(bench)
        await bench.service.send_c2d("dev", b"1", ack="full", message_id="a")
        await bench.service.send_c2d("dev", b"2", ack="full", message_id="b")
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
        assert await statuses(bench, 2) == ["Success", "Rejected"]
        for body in (b"5", b"nonsense", json.dumps(records).encode(), b"[1]"):
            state = await peer.deliver(handle, AmqpMessage(body))
            assert state.descriptor == REJECTED

    on_hub(scenario)


def test_a_second_link_takes_the_messages(on_hub):
    async def scenario(bench):
        key = await bench.new()
        first = await bench.amqp_device("dev", key)
        await first.receiver(MESSAGES)
        second = await bench.amqp_device("dev", key)
        await second.receiver(MESSAGES)
        assert (await first.expect(DETACH)).error.condition == "amqp:link:stolen"
        await bench.service.send_c2d("dev", b"for the second")
        assert (await second.message())[1].body == b"for the second"

    on_hub(scenario)


def test_mqtt_takes_over_from_amqp(on_hub):
    async def scenario(bench):
        key = await bench.new()
        peer = await bench.amqp_device("dev", key)
        await peer.receiver(MESSAGES)
        taker, _ = await bench.device("dev", key)
        assert (await peer.expect(DETACH)).error.condition == "amqp:link:detach-forced"
        record = await bench.service.get_device("dev")
        assert record["connectionState"] == "Connected"
        taker.abort()

    on_hub(scenario)


def test_a_device_is_connected_while_it_has_links(on_hub):
    async def scenario(bench):
        async def state():
            return (await bench.service.get_device("dev"))["connectionState"]

        peer = await device(bench)
        assert await state() == "Disconnected"
        handle = await peer.sender(EVENTS)
        assert await state() == "Connected"
        peer.send(Composite(DETACH, handle=handle, closed=True))
        await peer.expect(DETACH)
        assert await state() == "Disconnected"

    on_hub(scenario)


def test_a_disabled_device_loses_its_links(on_hub):
    async def scenario(bench):
        peer = await device(bench)
        await peer.sender(EVENTS)
        await bench.service.update_device("dev", status="disabled")
        assert (await peer.expect(DETACH)).error.condition == "amqp:link:detach-forced"
        await peer.attach(EVENTS, False)
        assert (await peer.expect(DETACH)).error.condition == "amqp:unauthorized-access"

    on_hub(scenario)


# -- twin and methods ---------------------------------------------------------------------------


def twin_request(operation, resource=None, body=b" "):
    message = AmqpMessage(body, correlation_id="c-" + operation)
    message.annotations = {"operation": operation}
    if resource:
        message.annotations["resource"] = resource
    return message


def test_twin(on_hub):
    async def scenario(bench):
        peer = await device(bench)
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
        twin = await bench.service.get_twin("dev")
        assert twin["properties"]["reported"]["a"] == {"b": 1}

        desired = "/notifications/twin/properties/desired"
        await bench.service.patch_twin("dev", {"properties": {"desired": {"untold": 1}}})
        assert (await ask("PUT", desired))[0] == 200
        await bench.service.patch_twin("dev", {"properties": {"desired": {"speed": 3}}})
        _, push = await peer.message()
        assert push.properties is None
        assert json.loads(push.body) == {"speed": 3, "$version": 3}
        assert (await ask("DELETE", desired))[0] == 200
        await bench.service.patch_twin("dev", {"properties": {"desired": {"speed": 4}}})

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
    async def scenario(bench):
        peer = await device(bench)
        address = "/devices/dev/methods/devicebound"
        sender = await peer.sender(address)
        await peer.receiver(address)
        calling = asyncio.create_task(bench.service.invoke_method("dev", "go", {"far": [1]}))
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


# -- events -------------------------------------------------------------------------------------


def test_events_are_redirected(on_hub):
    async def scenario(bench):
        peer = await bench.peer()
        await peer.open()
        await peer.begin()
        await peer.put_token(bench.service_token())
        await peer.attach("/messages/events/ConsumerGroups/$Default/Partitions/2", True)
        error = (await peer.expect(DETACH)).error
        port = bench.hub.ports["amqp_port"]
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
    async def scenario(bench):
        sender = await device(bench)
        handle = await sender.sender(EVENTS)
        partition = partition_of("dev")
        for body in (b"0", b"1", b"2"):
            bench.clock.ahead += 10  # so that each has its own time
            await sender.deliver(handle, AmqpMessage(body))
        events = (await bench.hub.core.events.read(partition, -1, 100))[-3:]
        middle = events[1]
        moment = int(middle["enqueued"] * 1000)
        service = await bench.amqp_service()
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


def test_events_as_they_come(on_hub):
    async def scenario(bench):
        sender = await device(bench)
        handle = await sender.sender(EVENTS)
        service = await bench.amqp_service()
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
    async def scenario(bench):
        async def read(kind, **fields):
            service = await bench.amqp_service()
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

        await bench.new()
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


def test_a_higher_epoch_takes_the_partition(on_hub):
    async def scenario(bench):
        async def reader(epoch):
            service = await bench.amqp_service()
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
    async def scenario(bench):
        await bench.new()
        await bench.service.send_c2d("dev", b"1", ack="full", message_id="a")
        bench.hub.core.identities.get("dev").queue.purge()
        for leave in ("close", "release", "accept"):
            service = await bench.amqp_service()
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


def test_a_link_can_be_attached_again(on_hub):
    async def scenario(bench):
        peer = await device(bench)
        for _ in range(3):
            handle = await peer.sender(EVENTS)
            await peer.deliver(handle, AmqpMessage(b"x"))
            peer.send(Composite(DETACH, handle=handle, closed=True))
            assert (await peer.expect(DETACH)).handle == handle
        peer.send(Composite(ATTACH, name="no address", handle=9, role=True))
        await peer.expect(ATTACH)
        assert (await peer.expect(DETACH)).error.condition == "amqp:not-implemented"

    on_hub(scenario)
