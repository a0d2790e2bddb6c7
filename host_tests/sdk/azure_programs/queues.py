import asyncio
import os

from azure.iot.device import MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient


async def main():
    conn_str = os.getenv("IOTHUB_DEVICE_CONNECTION_STRING")
    device_client = IoTHubDeviceClient.create_from_connection_string(conn_str)
    await device_client.connect()

    async def message_listener():
        for _ in range(2):
            message = await device_client.receive_message()
            print(message.data.decode())

    async def method_listener():
        request = await device_client.receive_method_request("wanted")
        response = MethodResponse.create_from_method_request(
            request, 200, {"got": request.payload}
        )
        await device_client.send_method_response(response)
        print("answered")

    async def patch_listener():
        while True:
            patch = await device_client.receive_twin_desired_properties_patch()
            if "fan" in patch:
                print(patch["fan"])
                return

    listeners = asyncio.gather(message_listener(), patch_listener(), method_listener())
    await asyncio.sleep(1)
    print("READY")
    await listeners
    await device_client.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
