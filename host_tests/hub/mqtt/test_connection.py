"""The hub's MQTT front over TLS: what it grants, refuses and closes."""

import asyncio
import json

import pytest

from host_tests.support.mqtt_packets import puback, publish, published, subscribe
from iothub.errors import ServiceError

TWIN_ANSWERS = "$iothub/twin/res/#"
MESSAGES = "devices/dev/messages/devicebound/#"


def parse(packet):
    """(topic, packet id or None, body) of a PUBLISH."""
    return published(*packet)


@pytest.mark.parametrize(
    "change, code",
    [
        ({"level": 3}, 1),
        ({"client_id": "other"}, 2),
        ({"user": "localhost/dev/"}, 4),
        ({"user": "localhost/dev/?DeviceClientType=x"}, 4),
        ({"user": "elsewhere/dev/?api-version=2021-04-12"}, 5),
    ],
    ids=["protocol", "client id", "no query", "no api-version", "audience"],
)
def test_invalid_connect_is_refused_with_its_code(on_hub, change, code):
    async def scenario(testbed):
        key = await testbed.new()
        device = await testbed.open()
        device.send(testbed.connect_packet("dev", testbed.token("dev", key), **change))
        assert await device.closed() == [(0x20, bytes((0, code)))]

    on_hub(scenario)


@pytest.mark.parametrize("life", [-1, -3600])
def test_expired_token_is_refused(on_hub, life):
    async def scenario(testbed):
        key = await testbed.new()
        device = await testbed.open()
        device.send(testbed.connect_packet("dev", testbed.token("dev", key, life)))
        assert await device.closed() == [(0x20, b"\0\5")]

    on_hub(scenario)


def test_secondary_key_and_any_consistent_hub_name_are_accepted(on_hub):
    async def scenario(testbed):
        await testbed.new()
        record = await testbed.service.get_device("dev")
        key = record["authentication"]["symmetricKey"]["secondaryKey"]
        device = await testbed.open()
        user = "My-Hub.azure-devices.net/dev/?api-version=2019-10-01&DeviceClientType=x%20y"
        token = testbed.token("dev", key, hub="my-hub.azure-devices.net")
        device.send(testbed.connect_packet("dev", token, user=user))
        assert await device.packet() == (0x20, b"\0\0")

    on_hub(scenario)


def test_disabled_device_is_refused_and_a_connected_one_closed(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        device, _ = await testbed.device("dev", key)
        await testbed.service.update_device("dev", status="disabled")
        assert await device.closed() == []
        again = await testbed.open()
        again.send(testbed.connect_packet("dev", testbed.token("dev", key)))
        assert await again.closed() == [(0x20, b"\0\5")]

    on_hub(scenario)


def test_second_connection_closes_the_first(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        first, _ = await testbed.device("dev", key)
        second, _ = await testbed.device("dev", key)
        assert await first.closed() == []
        second.send(b"\xc0\0")
        assert await second.packet() == (0xD0, b"")

    on_hub(scenario)


def test_silence_of_one_and_a_half_keep_alives_closes_the_connection(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        device, _ = await testbed.device("dev", key, keep_alive=1)
        assert await device.closed() == []

    on_hub(scenario)


@pytest.mark.parametrize(
    "packet",
    [
        subscribe("#"),
        subscribe("devices/other/messages/devicebound/#"),
        subscribe("$iothub/#"),
        publish("devices/other/messages/events/", b"", 7),
        publish("anything", b"", 7),
        publish("$iothub/twin/GET/", b"", 7),
        publish("$iothub/twin/PATCH/properties/desired/?$rid=1", b"{}", 7),
        publish("$iothub/methods/res/ok/?$rid=1", b"", 7),
        b"\x34\x05\x00\x01t\x00\x01",
        b"\x30\x04\x00\x02\xff\xff",
        b"\x32\x05\x00\x01t\x00\x00",
        b"\x10\x00",
        b"\xf0\x00",
        b"\x30\xff\xff\xff\x7f",
        b"\x30\x80\x80\x80\x80\x01",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_unsupported_packet_closes_its_connection_only(on_hub, packet):
    async def scenario(testbed):
        key = await testbed.new()
        other, _ = await testbed.device("bystander", await testbed.new("bystander"))
        device, _ = await testbed.device("dev", key)
        device.send(packet)
        assert await device.closed() == []
        other.send(b"\xc0\0")
        assert await other.packet() == (0xD0, b"")

    on_hub(scenario)


def test_first_packet_must_be_connect(on_hub):
    async def scenario(testbed):
        device = await testbed.open()
        device.send(b"\xc0\0")
        assert await device.closed() == []

    on_hub(scenario)


def test_packets_after_a_refused_connect_are_ignored(on_hub):
    async def scenario(testbed):
        await testbed.new()
        device = await testbed.open()
        refused = testbed.connect_packet("dev", testbed.token("dev", "AAAAAAAAAAAAAAAAAAAAAA=="))
        device.send(refused + publish("devices/dev/messages/events/", b"stolen", 7))
        assert await device.closed() == [(0x20, b"\0\5")]
        events = await testbed.service.local.stored_events("dev")
        assert b"stolen" not in [event["body"] for event in events]

    on_hub(scenario)


def test_packets_sent_together_are_answered_in_order(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        device = await testbed.open()
        device.send(
            testbed.connect_packet("dev", testbed.token("dev", key))
            + subscribe(TWIN_ANSWERS, 0, 5)
            + publish("$iothub/twin/GET/?$rid=x%201", b" ")
            + publish("devices/dev/messages/events/", b"first", 9)
        )
        assert await device.packet() == (0x20, b"\0\0")
        assert await device.packet() == (0x90, b"\0\5\0")
        topic, _, body = parse(await device.packet())
        assert topic == "$iothub/twin/res/200/?$rid=x%201"
        assert json.loads(body) == {"desired": {"$version": 1}, "reported": {"$version": 1}}
        assert await device.packet() == (0x40, b"\0\x09")

    on_hub(scenario)


def test_telemetry_properties_become_system_application_and_annotations(on_hub):
    async def scenario(testbed):
        device, _ = await testbed.device("dev", await testbed.new())
        bag = "%24.mid=m%2F1&$.ct=application%2Fjson&$.ce=utf-8&own=a%20b&empty=&none&$.on=out"
        device.send(publish(f"devices/dev/messages/events/{bag}", b"{}", 3, retain=True))
        assert await device.packet() == (0x40, b"\0\3")
        event = await anext(testbed.service.local.telemetry("dev"))
        assert event["body"] == b"{}"
        assert event["system"] == {
            "message-id": "m/1",
            "content-type": "application/json",
            "content-encoding": "utf-8",
        }
        expected = {"own": "a b", "empty": "", "none": None, "mqtt-retain": "true"}
        assert event["application"] == expected
        assert event["annotations"]["iothub-connection-device-id"] == "dev"
        assert event["annotations"]["iothub-connection-output-name"] == "out"

    on_hub(scenario)


@pytest.mark.parametrize("clean_end", [True, False])
def test_will_becomes_telemetry_when_the_connection_is_lost(on_hub, clean_end):
    async def scenario(testbed):
        will = [b"devices/dev/messages/events/a=b", b"gone"]
        device, _ = await testbed.device("dev", await testbed.new(), will=will)
        if clean_end:
            device.send(b"\xe0\0")
            assert await device.closed() == []
            events = await testbed.service.local.stored_events("dev")
            assert b"gone" not in [event["body"] for event in events]
        else:
            device.abort()
            event = await anext(testbed.service.local.telemetry("dev"))
            assert event["body"] == b"gone"
            assert event["application"] == {"a": "b", "iothub-MessageType": "Will"}

    on_hub(scenario)


# -- messages to a device -----------------------------------------------------------------------


def test_message_is_redelivered_until_it_is_acknowledged(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        device, present = await testbed.device("dev", key)
        assert not present
        device.send(subscribe(MESSAGES))
        assert await device.packet() == (0x90, b"\0\1\1")
        properties = {"none": None, "empty": "", "ü": "a b"}
        await testbed.service.send_c2d_message(
            "dev", b"hi", properties, ack="full", message_id="m"
        )
        first, body = await device.packet()
        topic, packet_id, payload = parse((first, body))
        assert first == 0x32
        assert payload == b"hi"
        assert topic == (
            "devices/dev/messages/devicebound/%24.to=%2Fdevices%2Fdev%2Fmessages%2Fdevicebound"
            "&%24.mid=m&iothub-ack=full&none&empty=&%C3%BC=a%20b"
        )
        device.abort()
        device, present = await testbed.device("dev", key)
        assert present
        first, body = await device.packet()
        assert first == 0x3A
        device.send(puback(parse((first, body))[1]))
        device.send(b"\xc0\0")
        assert await device.packet() == (0xD0, b"")
        assert (await testbed.service.get_device("dev"))["cloudToDeviceMessageCount"] == 0

    on_hub(scenario)


def test_qos_2_is_granted_as_1_and_qos_0_completes_at_once(on_hub):
    async def scenario(testbed):
        device, _ = await testbed.device("dev", await testbed.new())
        device.send(subscribe(MESSAGES, 2))
        assert await device.packet() == (0x90, b"\0\1\1")
        device.send(subscribe(MESSAGES, 0, 2))
        assert await device.packet() == (0x90, b"\0\2\0")
        await testbed.service.send_c2d_message("dev", b"hi")
        assert (await device.packet())[0] == 0x30
        assert (await testbed.service.get_device("dev"))["cloudToDeviceMessageCount"] == 0

    on_hub(scenario)


def test_message_is_delivered_at_most_ten_times(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        await testbed.service.send_c2d_message("dev", b"poison")
        for delivery in range(10):
            device, _ = await testbed.device("dev", key)
            if not delivery:
                device.send(subscribe(MESSAGES))
                await device.packet()
            assert parse(await device.packet())[2] == b"poison"
            device.abort()
        device, _ = await testbed.device("dev", key)
        device.send(b"\xc0\0")
        assert await device.packet() == (0xD0, b"")
        assert (await testbed.service.get_device("dev"))["cloudToDeviceMessageCount"] == 0

    on_hub(scenario)


def test_expired_message_is_not_delivered(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        await testbed.service.send_c2d_message("dev", b"late")
        await testbed.service.send_c2d_message(
            "dev", b"later", absolute_expiry_time=32472144000000
        )
        testbed.clock.ahead = 3601
        device, _ = await testbed.device("dev", key)
        device.send(subscribe(MESSAGES))
        await device.packet()
        assert parse(await device.packet())[2] == b"later"

    on_hub(scenario)


def test_at_most_fifty_messages_wait(on_hub):
    async def scenario(testbed):
        await testbed.new()
        for _ in range(50):
            await testbed.service.send_c2d_message("dev", b"x")
        with pytest.raises(ServiceError) as refused:
            await testbed.service.send_c2d_message("dev", b"x")
        assert refused.value.code == "amqp:resource-limit-exceeded"

    on_hub(scenario)


def test_clean_session_forgets_subscriptions(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        device, _ = await testbed.device("dev", key)
        device.send(subscribe(MESSAGES))
        await device.packet()
        _, present = await testbed.device("dev", key, clean=True)
        assert not present
        _, present = await testbed.device("dev", key)
        assert not present

    on_hub(scenario)


# -- twin and methods ---------------------------------------------------------------------------


def test_reported_properties_are_merged_or_refused(on_hub):
    async def scenario(testbed):
        device, _ = await testbed.device("dev", await testbed.new())
        device.send(subscribe(TWIN_ANSWERS, 0))
        await device.packet()
        patches = (
            (b'{"a":{"b":1,"c":2}}', "204/?$rid=r&$version=2"),
            (b'{"a":{"b":null},"d":"\xc3\xa9"}', "204/?$rid=r&$version=3"),
            (b"[1]", "400/?$rid=r"),
            (b"{", "400/?$rid=r"),
            (b"", "400/?$rid=r"),
            (b'{"a.b":1}', "400/?$rid=r"),
            (b'{"a":"' + b"x" * 33000 + b'"}', "413/?$rid=r"),
            (b"[" * 100000, "400/?$rid=r"),
        )
        for patch, answer in patches:
            device.send(publish("$iothub/twin/PATCH/properties/reported/?$rid=r", patch))
            assert parse(await device.packet())[0] == f"$iothub/twin/res/{answer}"
        twin = await testbed.service.get_twin("dev")
        reported = twin["properties"]["reported"]
        assert reported["a"] == {"c": 2}
        assert reported["d"] == "é"
        assert reported["$version"] == 3
        assert set(reported["$metadata"]) == {"$lastUpdated", "a", "d"}
        assert set(reported["$metadata"]["a"]) == {"$lastUpdated", "c"}

    on_hub(scenario)


def test_desired_change_is_sent_to_subscribers_only(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        device, _ = await testbed.device("dev", key)
        device.send(subscribe("$iothub/twin/PATCH/properties/desired/#", 0))
        await device.packet()
        patch = {"properties": {"desired": {"a": {"b": None}, "c": [1]}}, "tags": {"t": 1}}
        twin = await testbed.service.patch_twin("dev", patch)
        topic, _, body = parse(await device.packet())
        assert topic == "$iothub/twin/PATCH/properties/desired/?$version=2"
        assert json.loads(body) == {"a": {"b": None}, "c": [1], "$version": 2}
        assert twin["tags"] == {"t": 1}
        assert twin["properties"]["desired"]["a"] == {}

    on_hub(scenario)


def test_method_call_and_its_answer(on_hub):
    async def scenario(testbed):
        device, _ = await testbed.device("dev", await testbed.new())
        device.send(subscribe("$iothub/methods/POST/#", 0))
        await device.packet()
        call = asyncio.create_task(testbed.service.invoke_method("dev", "do it", {"a": 1}))
        topic, _, body = parse(await device.packet())
        start, _, rid = topic.partition("?$rid=")
        assert start == "$iothub/methods/POST/do%20it/"
        assert json.loads(body) == {"a": 1}
        device.send(publish(f"$iothub/methods/res/201/?$rid={rid}", b'{"b":2}'))
        assert await call == (201, {"b": 2})

    on_hub(scenario)


def test_method_without_handler_or_answer_is_404_or_504(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        with pytest.raises(ServiceError) as refused:
            await testbed.service.invoke_method("dev", "m", None, connect_timeout=0)
        assert refused.value.code == 404
        device, _ = await testbed.device("dev", key)
        device.send(subscribe("$iothub/methods/POST/#", 0))
        await device.packet()
        with pytest.raises(ServiceError) as refused:
            await testbed.service.invoke_method("dev", "m", None, response_timeout=1)
        assert refused.value.code == 504

    on_hub(scenario)


def test_method_waits_for_a_device_that_is_about_to_connect(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        call = asyncio.create_task(testbed.service.invoke_method("dev", "m", None))
        device, _ = await testbed.device("dev", key)
        device.send(subscribe("$iothub/methods/POST/#", 0))
        await device.packet()
        rid = parse(await device.packet())[0].partition("$rid=")[2]
        device.send(publish(f"$iothub/methods/res/200/?$rid={rid}", b""))
        assert await call == (200, None)

    on_hub(scenario)


# -- restarts -----------------------------------------------------------------------------------


def test_restart_loses_nothing(on_hub):
    async def before(testbed):
        key = await testbed.new()
        device, _ = await testbed.device("dev", key)
        device.send(subscribe(MESSAGES))
        await device.packet()
        device.send(publish("devices/dev/messages/events/", b"kept", 7))
        await device.packet()
        await testbed.service.send_c2d_message("dev", b"waiting")
        await testbed.service.patch_twin("dev", {"properties": {"desired": {"a": 1}}})
        return key

    async def after(testbed):
        device, present = await testbed.device("dev", key)
        assert present
        assert parse(await device.packet())[2] == b"waiting"
        twin = await testbed.service.get_twin("dev")
        assert twin["properties"]["desired"]["a"] == 1
        assert twin["properties"]["desired"]["$version"] == 2
        event = await anext(testbed.service.local.telemetry("dev"))
        assert event["body"] == b"kept"

    key = on_hub(before)
    on_hub(after)
