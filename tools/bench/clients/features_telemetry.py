"""Connect, and one message, by this firmware's client."""

import asyncio

from iothub import IoTHubDeviceClient


def run(settings, mark):
    client = IoTHubDeviceClient.create_from_symmetric_key(
        settings["key"],
        "{host}:{port}".format(**settings),
        settings["device"],
        server_verification_cert=settings["ca"],
        transport=settings["transport"],
    )
    mark("import")
    asyncio.run(main(client, mark))


async def main(client, mark):
    await client.connect()
    mark("connect")
    await client.send_message("telemetry")
    mark("use")
    await client.shutdown()
