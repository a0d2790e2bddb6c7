import asyncio
import os

from azure.iot.device.aio import IoTHubDeviceClient


async def main():
    conn_str = os.getenv("IOTHUB_DEVICE_CONNECTION_STRING")
    device_client = IoTHubDeviceClient.create_from_connection_string(conn_str)
    await device_client.connect()

    reported_properties = {"temperature": 320, "humidity": 86}
    print("Setting reported temperature to {}".format(reported_properties["temperature"]))
    await device_client.patch_twin_reported_properties(reported_properties)

    twin = await device_client.get_twin()
    print("Twin document:")
    print(sorted(twin), twin["reported"]["humidity"])

    got = []

    async def twin_patch_handler(patch):
        if "fan" in patch:
            print("the data in the desired properties patch was: {}".format(patch["fan"]))
            await device_client.patch_twin_reported_properties({"fan": patch["fan"]})
            got.append(patch)

    device_client.on_twin_desired_properties_patch_received = twin_patch_handler
    print("READY")
    while not got:
        await asyncio.sleep(0.1)
    await device_client.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
