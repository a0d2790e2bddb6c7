"""azure-iot-device against the local hub."""

import asyncio

import pytest
from azure.iot.device import X509, Message, MethodResponse, exceptions
from azure.iot.device.aio import IoTHubDeviceClient, IoTHubModuleClient

from host_tests.support.processes import ca_pem
from tools.service.client import ServiceClient

transports = pytest.mark.parametrize("websockets", [False, True], ids=["TCP", "WebSocket"])


def run(redirected_hub, scenario):
    """Run scenario(service)."""

    async def main():
        async with ServiceClient.create_for_local_hub(redirected_hub) as service:
            await scenario(service)

    asyncio.run(asyncio.wait_for(main(), 60))


@transports
def test_device_with_keys(redirected_hub, websockets):
    async def scenario(service):
        name = f"keys-{websockets}"
        made = await service.create_device(name)
        key = made["authentication"]["symmetricKey"]["primaryKey"]
        client = IoTHubDeviceClient.create_from_connection_string(
            f"HostName=localhost;DeviceId={name};SharedAccessKey={key}",
            server_verification_cert=ca_pem(redirected_hub),
            websockets=websockets,
        )
        await use(service, client, name)

    run(redirected_hub, scenario)


def with_certificate(redirected_hub, name, shown, websockets=False):
    return IoTHubDeviceClient.create_from_x509_certificate(
        X509(str(shown.file), str(shown.key_file)),
        "localhost",
        name,
        server_verification_cert=ca_pem(redirected_hub),
        websockets=websockets,
    )


@transports
def test_device_with_a_thumbprint(redirected_hub, websockets, make_certificate):
    async def scenario(service):
        name = f"thumbprint-{websockets}"
        shown = make_certificate(name)
        thumbprints = {"secondaryThumbprint": shown.thumbprint, "primaryThumbprint": "0" * 40}
        await service.create_device(
            name, authentication={"type": "selfSigned", "x509Thumbprint": thumbprints}
        )
        await use(service, with_certificate(redirected_hub, name, shown, websockets), name)
        event = await anext(service.local.telemetry(name))
        assert '"type": "selfSigned"' in event["annotations"]["iothub-connection-auth-method"]

    run(redirected_hub, scenario)


def test_device_with_a_ca_signed_certificate(redirected_hub, make_certificate):
    async def scenario(service):
        authority = make_certificate("authority", None, True)
        between = make_certificate("between", authority, True)
        shown = make_certificate("signed", between)
        shown.file.write_text(shown.pem + between.pem)
        await service.local.add_authority("mine", authority.pem)
        await service.create_device("signed", authentication={"type": "certificateAuthority"})
        await use(service, with_certificate(redirected_hub, "signed", shown), "signed")

    run(redirected_hub, scenario)


@pytest.mark.parametrize("kind", ["selfSigned", "certificateAuthority", "sas"])
def test_other_certificate_is_refused(redirected_hub, make_certificate, kind):
    async def scenario(service):
        name = f"refused-{kind}"
        await service.create_device(name, authentication={"type": kind})
        client = with_certificate(redirected_hub, name, make_certificate(name))
        try:
            with pytest.raises(exceptions.CredentialError):
                await client.connect()
        finally:
            await client.shutdown()

    run(redirected_hub, scenario)


def test_module(redirected_hub, registry):
    registry.create_device_with_sas("host", "", "", "enabled")
    made = registry.create_module_with_sas("host", "part", "", "", "")
    key = made.authentication.symmetric_key.primary_key

    async def scenario(service):
        client = IoTHubModuleClient.create_from_connection_string(
            f"HostName=localhost;DeviceId=host;ModuleId=part;SharedAccessKey={key}",
            server_verification_cert=ca_pem(redirected_hub),
        )
        inputs, patches = taken(client)
        try:
            await client.connect()
            await client.send_message_to_output("data", "out")
            event = await anext(service.local.telemetry("host"))
            assert event["body"] == b"data"
            assert event["annotations"]["iothub-connection-output-name"] == "out"
            assert event["annotations"]["iothub-connection-module-id"] == "part"
            await client.patch_twin_reported_properties({"x": 1})
            assert (await client.get_twin())["reported"]["x"] == 1
            await service.local.send_input("host", "part", "in", b"hi", {"p": "ü"})
            received = await inputs.get()
            assert (received.input_name, received.data) == ("in", b"hi")
            assert received.custom_properties == {"p": "ü"}
        finally:
            await client.shutdown()

    run(redirected_hub, scenario)


def taken(client):
    """(messages, desired patches) as asyncio queues that the client's handlers fill."""
    loop = asyncio.get_running_loop()

    def into(queue):
        # The SDK calls handlers in a thread of its own.
        return lambda value: loop.call_soon_threadsafe(queue.put_nowait, value)

    messages, patches = asyncio.Queue(), asyncio.Queue()
    client.on_message_received = into(messages)
    client.on_twin_desired_properties_patch_received = into(patches)
    return messages, patches


async def use(service, client, name):
    try:
        await use_it(service, client, name)
    finally:
        await client.shutdown()


async def use_it(service, client, name):
    messages, patches = taken(client)

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
    event = await anext(service.local.telemetry(name))
    assert event["body"] == "é".encode()
    assert event["application"] == {"a b": "c&d"}
    assert event["system"]["message-id"] == "m/1"

    await client.patch_twin_reported_properties({"x": {"y": 1}})
    twin = await client.get_twin()
    assert twin["reported"]["x"] == {"y": 1}

    await service.patch_twin(name, {"properties": {"desired": {"z": 2}}})
    while (patch := await patches.get()).get("z") != 2:
        pass  # the SDK may tell the whole section first
    assert patch["$version"] == 2

    await service.send_c2d_message(name, b"hi", {"p": "q", "e": ""}, message_id="m2")
    received = await messages.get()
    assert received.data == b"hi"
    assert received.custom_properties == {"p": "q", "e": ""}
    assert received.message_id == "m2"

    assert await service.invoke_method(name, "m", [1, None]) == (200, {"got": [1, None]})
