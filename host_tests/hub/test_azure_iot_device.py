"""Microsoft's own device SDK takes the local hub for IoT Hub."""

import asyncio

import paho.mqtt.client
import pytest
from azure.iot.device import Message, MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient

from tools.demo import running_hub
from tools.hub.client import ServiceClient


@pytest.fixture
def any_port(monkeypatch):
    """The SDK dials 8883 or 443 whatever it is told; {"port": …} names another."""
    chosen = {}
    connect = paho.mqtt.client.Client.connect

    def redirected(self, host, port=1883, *arguments, **options):
        return connect(self, host, chosen["port"], *arguments, **options)

    monkeypatch.setattr(paho.mqtt.client.Client, "connect", redirected)
    return chosen


@pytest.mark.parametrize("websockets", [False, True], ids=["TCP", "WebSocket"])
def test_device_client(any_port, tmp_path, websockets):
    # The SDK blocks its caller's loop while it subscribes: the hub needs a process of its own.
    async def scenario():
        async with (
            running_hub(tmp_path) as ports,
            ServiceClient(ports["service_connection_string"], ports["ca_file"]) as service,
        ):
            any_port["port"] = ports["https_port" if websockets else "mqtt_port"]
            made = await service.create_device("dev")
            key = made["authentication"]["symmetricKey"]["primaryKey"]
            client = IoTHubDeviceClient.create_from_connection_string(
                f"HostName=localhost;DeviceId=dev;SharedAccessKey={key}",
                server_verification_cert=(tmp_path / "ca.pem").read_text(),
                websockets=websockets,
            )
            try:
                await use(service, client)
            finally:
                await client.shutdown()

    asyncio.run(asyncio.wait_for(scenario(), 60))


async def use(service, client):
    messages, patches = asyncio.Queue(), asyncio.Queue()

    def into(queue):
        # The SDK calls handlers in a thread of its own.
        loop = asyncio.get_running_loop()
        return lambda value: loop.call_soon_threadsafe(queue.put_nowait, value)

    client.on_message_received = into(messages)
    client.on_twin_desired_properties_patch_received = into(patches)

    async def answer(request):
        response = MethodResponse.create_from_method_request(
            request, 200, {"got": request.payload}
        )
        await client.send_method_response(response)

    client.on_method_request_received = answer
    await client.connect()

    message = Message("é", "m/1", "utf-8", "application/json")
    message.custom_properties = {"a b": "c&d"}
    await client.send_message(message)
    event = await anext(service.telemetry("dev"))
    assert event["body"] == "é".encode()
    assert event["application"] == {"a b": "c&d"}
    assert event["system"]["message-id"] == "m/1"

    await client.patch_twin_reported_properties({"x": {"y": 1}})
    twin = await client.get_twin()
    assert twin["reported"]["x"] == {"y": 1}

    await service.patch_twin("dev", {"properties": {"desired": {"z": 2}}})
    while (patch := await patches.get()).get("z") != 2:
        pass  # the SDK may tell the whole section first
    assert patch["$version"] == 2

    await service.send_c2d("dev", b"hi", {"p": "q", "e": ""}, message_id="m2")
    received = await messages.get()
    assert received.data == b"hi"
    assert received.custom_properties == {"p": "q", "e": ""}
    assert received.message_id == "m2"

    assert await service.invoke_method("dev", "m", [1, None]) == (200, {"got": [1, None]})
