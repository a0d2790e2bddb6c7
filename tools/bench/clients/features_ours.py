"""Telemetry, a C2D message, the twin and a direct method, by this firmware's client."""

import asyncio

from iothub import IoTHubDeviceClient, Message


def run(settings, mark):
    client = IoTHubDeviceClient.create_from_symmetric_key(
        settings["key"],
        "{host}:{port}".format(**settings),
        settings["device"],
        server_verification_cert=settings["ca"],
    )
    mark("import")
    asyncio.run(main(client, mark))


async def main(client, mark):
    arrived, called = asyncio.Event(), asyncio.Event()

    def on_message(message):
        arrived.set()

    def on_method(request):
        called.set()
        return request.payload

    client.on_message_received = on_message
    client.on_method_request_received = on_method
    await client.connect()
    mark("connect")
    await client.send_message(Message("telemetry"))
    await client.patch_twin_reported_properties({"a": 1})
    twin = await client.get_twin()
    if twin["reported"]["a"] != 1:
        raise ValueError(twin)
    await asyncio.wait_for(arrived.wait(), 10)
    await asyncio.wait_for(called.wait(), 10)
    mark("use")
    await client.shutdown()
