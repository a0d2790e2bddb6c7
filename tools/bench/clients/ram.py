"""Imports what a feature needs, connects and uses it. Its result: [bytes of heap once imported,
once used]."""

import asyncio
import gc
import json
import sys

settings = json.loads(sys.stdin.readline())
before, after = settings["before"], settings["after"]


def heap():
    gc.collect()
    return gc.mem_alloc()


start = heap()

if "azure" in before:
    from azure.iot.device import Message
    from azure.iot.device.aio import IoTHubDeviceClient
else:
    from iothub import IoTHubDeviceClient, Message

options = {"server_verification_cert": settings["ca"], "https_port": settings["https_port"]}
if "websockets" in before:
    options["websockets"] = True
    from iothub.net import websocket  # noqa: F401
if "amqp" in before:
    options["transport"] = "amqp"
if "outbox" in before or "journal" in before:
    from iothub import Outbox

    options["outbox"] = Outbox(settings["folder"] + "/outbox" if "journal" in before else None)
if "x509" in before:
    from iothub import X509  # noqa: F401
if "proxy" in before:
    from iothub import ProxyOptions  # noqa: F401
if "pnp" in before:
    from iothub import pnp  # noqa: F401
if "wake" in before:
    from iothub import deep_sleep  # noqa: F401
if "provisioning" in before:
    from iothub import ProvisioningDeviceClient  # noqa: F401

client = IoTHubDeviceClient.create_from_connection_string(
    "HostName={host}:{port};DeviceId={device};SharedAccessKey={key}".format(**settings),
    **options,
)
if "messages" in before:
    client.on_message_received = print
if "methods" in before:
    client.on_method_request_received = print
if "desired" in before:
    client.on_twin_desired_properties_patch_received = print
imported = heap() - start


async def main():
    await client.connect()
    await client.send_message(Message("hello"))
    if "twin" in after:
        await client.patch_twin_reported_properties({"a": 1})
        await client.get_twin()
    if "renew" in after:
        from iothub import renewal  # noqa: F401

        await client._transport.renew()
    if "upload" in after:
        await client.get_storage_info_for_blob("a")
    if "health" in after:
        from iothub.health import Health

        await Health(client).report()
    if "trust" in after:
        from iothub.net import root_update  # noqa: F401
    await asyncio.sleep(0.2)
    print(json.dumps(["result", [imported, heap() - start]]))


asyncio.run(main())
