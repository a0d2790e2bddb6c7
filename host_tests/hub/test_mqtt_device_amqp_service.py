"""A device on MQTT and a service on AMQP: telemetry, C2D messages and feedback between them."""

import json

from host_tests.support import mqtt_packets
from host_tests.support.amqp_peer import selector
from iothub.amqp.codec import Typed
from iothub.amqp.composites import ACCEPTED, DISPOSITION
from iothub.amqp.sections import AmqpMessage
from tools.hub.core.events import partition_of


async def reader(testbed, device_id):
    """A service that reads what the device sends from now on."""
    service = await testbed.amqp_service()
    address = f"iothub-ehub-local/ConsumerGroups/$Default/Partitions/{partition_of(device_id)}"
    filters = selector("amqp.annotation.x-opt-offset > '@latest'")
    await service.receiver(address, filter=filters)
    return service


def test_telemetry_with_all_its_properties(on_hub):
    async def scenario(testbed):
        device, _ = await testbed.device("dev", await testbed.new())
        service = await reader(testbed, "dev")
        bag = (
            "%24.mid=m%2F1&$.cid=c&$.uid=me&$.ct=application%2Fjson&$.ce=utf-8&$.to=there"
            "&$.exp=2030-01-02T03:04:05Z&$.on=out&$.sub=part&$.ctime=2020-01-01T00:00:00Z"
            "&colour=gr%C3%BCn&empty=&null"
        )
        topic = f"devices/dev/messages/events/{bag}"
        device.send(mqtt_packets.publish(topic, b"{}", 1))
        assert await device.packet() == (0x40, b"\0\1")
        _, event = await service.message()
        properties = event.properties
        assert properties.message_id == "m/1"
        assert properties.correlation_id == "c"
        assert properties.user_id == b"me"
        assert properties.content_type == "application/json"
        assert properties.content_encoding == "utf-8"
        assert properties.to == "there"
        assert properties.absolute_expiry_time == 1893553445000
        assert event.application == {"colour": "grün", "empty": "", "null": None}
        annotations = event.annotations
        assert annotations["iothub-connection-device-id"] == "dev"
        assert json.loads(annotations["iothub-connection-auth-method"])["type"] == "sas"
        record = await testbed.service.get_device("dev")
        generation = annotations["iothub-connection-auth-generation-id"]
        assert generation == record["generationId"]
        assert annotations["iothub-message-source"] == "Telemetry"
        assert annotations["iothub-connection-output-name"] == "out"
        assert annotations["dt-subject"] == "part"
        assert annotations["iothub-creation-time-utc"] == "2020-01-01T00:00:00Z"
        for name in ("x-opt-enqueued-time", "iothub-enqueuedtime"):
            assert abs(annotations[name].value - testbed.clock() * 1000) < 60000
        assert event.body == b"{}"

    on_hub(scenario)


def test_properties_that_no_symbol_can_hold(on_hub):
    async def scenario(testbed):
        device, _ = await testbed.device("dev", await testbed.new())
        service = await reader(testbed, "dev")
        topic = "devices/dev/messages/events/$.ct=gr%C3%BCn&$.exp=soon&$.mid"
        device.send(mqtt_packets.publish(topic, b"x"))
        _, event = await service.message()
        assert event.properties.content_type == "gr?n"
        assert event.properties.absolute_expiry_time is None
        assert event.properties.message_id is None

    on_hub(scenario)


def test_will_retain_flag_and_the_hubs_own_events(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        service = await reader(testbed, "dev")
        will = [b"devices/dev/messages/events/", b"gone"]
        device, _ = await testbed.device("dev", key, will=will)
        topic = "devices/dev/messages/events/"
        device.send(mqtt_packets.publish(topic, b"kept", retain=True))
        _, event = await service.message()
        assert event.application == {"mqtt-retain": "true"}
        device.abort()
        _, event = await service.message()
        assert (event.body, event.application) == (b"gone", {"iothub-MessageType": "Will"})
        await testbed.service.patch_twin("dev", {"tags": {"floor": 1}})
        _, event = await service.message()
        assert event.annotations["iothub-message-source"] == "twinChangeEvents"
        assert event.application["opType"] == "updateTwin"
        await testbed.service.delete_device("dev")
        _, event = await service.message()
        assert event.annotations["iothub-message-source"] == "deviceLifecycleEvents"
        assert event.application["opType"] == "delete"

    on_hub(scenario)


async def send(testbed, message_id, ack="full", **fields):
    service = await testbed.amqp_service()
    handle = await service.sender("/messages/devicebound")
    to = "/devices/dev/messages/devicebound"
    message = AmqpMessage(b"hello", message_id=message_id, to=to, **fields)
    message.application = {"iothub-ack": ack, "n": 5, "yes": True, "none": None}
    assert (await service.deliver(handle, message)).descriptor == ACCEPTED


async def subscribed(testbed, key):
    device, _ = await testbed.device("dev", key)
    name = b"devices/dev/messages/devicebound/#"
    body = b"\0\x07" + len(name).to_bytes(2, "big") + name + b"\1"
    device.send(b"\x82" + bytes((len(body),)) + body)
    assert (await device.packet())[0] == 0x90
    return device


async def feedback(testbed, count):
    """{message id: status} of `count` records."""
    service = await testbed.amqp_service()
    await service.receiver("/messages/serviceBound/feedback")
    found = {}
    while len(found) < count:
        transfer, message = await service.message()
        for record in json.loads(message.body):
            assert record["deviceId"] == "dev"
            assert record["deviceGenerationId"]
            assert record["description"]
            found[record["originalMessageId"]] = record["statusCode"]
        service.settle(transfer, settled=False)
        await service.expect(DISPOSITION)
    service.abort()  # or the next record would go to it
    return found


def test_feedback_success(on_hub):
    async def scenario(testbed):
        device = await subscribed(testbed, await testbed.new())
        await send(testbed, Typed("uuid", bytes(16)))
        first, body = await device.packet()
        assert first & 0xF6 == 0x32
        size = int.from_bytes(body[:2], "big")
        topic, packet_id = body[2 : 2 + size].decode(), body[2 + size : 4 + size]
        bag = topic.partition("devicebound/")[2].split("&")
        assert "%24.mid=00000000-0000-0000-0000-000000000000" in bag
        assert {"n=5", "yes=true", "none", "iothub-ack=full"} <= set(bag)
        assert body[4 + size :] == b"hello"
        device.send(b"\x40\x02" + packet_id)
        assert await feedback(testbed, 1) == {"00000000-0000-0000-0000-000000000000": "Success"}

    on_hub(scenario)


def test_feedback_expired(on_hub):
    async def scenario(testbed):
        await testbed.new()
        soon = int((testbed.clock() + 30) * 1000)
        await send(testbed, "soon", absolute_expiry_time=soon)
        await send(
            testbed, "soon, but nobody wants to know", "positive", absolute_expiry_time=soon
        )
        await send(testbed, "later")
        testbed.clock.ahead = 31
        testbed.hub.core.sweep()
        assert await feedback(testbed, 1) == {"soon": "Expired"}
        testbed.clock.ahead = 3601  # the default time to live is an hour
        testbed.hub.core.sweep()
        assert await feedback(testbed, 1) == {"later": "Expired"}

    on_hub(scenario)


def test_feedback_delivery_count_exceeded(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        await send(testbed, "unwanted", "negative")
        device = await subscribed(testbed, key)
        for _ in range(10):
            first, _ = await device.packet()
            assert first & 0xF0 == 0x30
            device, _ = await testbed.device(
                "dev", key
            )  # without a PUBACK; it is still subscribed
        assert await feedback(testbed, 1) == {"unwanted": "DeliveryCountExceeded"}

    on_hub(scenario)


def test_feedback_survives_a_restart(on_hub):
    def first(testbed):
        return send_and_purge(testbed)

    on_hub(first)

    async def second(testbed):
        assert await feedback(testbed, 1) == {"kept": "Purged"}

    on_hub(second)


async def send_and_purge(testbed):
    await testbed.new()
    await send(testbed, "kept")
    testbed.hub.core.identities.get("dev").queue.purge()
