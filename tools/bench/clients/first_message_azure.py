"""As first_message.py, by azure-iot-device on CPython. It dials 8883, which is redirected."""

import asyncio
import json
import sys

import paho.mqtt.client
from azure.iot.device.aio import IoTHubDeviceClient

settings = json.loads(sys.stdin.readline())
with open(settings["ca"]) as file:
    authority = file.read()
connect = paho.mqtt.client.Client.connect


def redirected(self, host, port=1883, *arguments, **options):
    return connect(self, host, settings["port"], *arguments, **options)


paho.mqtt.client.Client.connect = redirected


async def ignore(_):
    pass


async def main():
    client = IoTHubDeviceClient.create_from_symmetric_key(
        settings["key"], settings["host"], settings["device"], server_verification_cert=authority
    )
    await client.connect()
    client.on_message_received = ignore
    client.on_method_request_received = ignore
    client.on_twin_desired_properties_patch_received = ignore
    await client.get_twin()
    await client.send_message("first")
    print(json.dumps(["acknowledged"]), flush=True)
    sys.stdin.readline()


asyncio.run(main())
