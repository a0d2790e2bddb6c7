import asyncio
import os

from azure.iot.device import MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient


async def main():
    conn_str = os.getenv("IOTHUB_DEVICE_CONNECTION_STRING")
    device_client = IoTHubDeviceClient.create_from_connection_string(conn_str)
    finished = asyncio.Event()

    async def method_request_handler(method_request):
        if method_request.name == "method1":
            payload = {"result": True, "data": method_request.payload}
            status = 200
            print("executed method1")
        elif method_request.name == "stop":
            payload = {"result": True, "data": 1234}
            status = 200
            print("executed stop")
            finished.set()
        else:
            payload = {"result": False, "data": "unknown method"}
            status = 400
            print("executed unknown method: " + method_request.name)
        method_response = MethodResponse.create_from_method_request(
            method_request, status, payload
        )
        await device_client.send_method_response(method_response)

    device_client.on_method_request_received = method_request_handler
    await device_client.connect()
    print("READY")
    while not finished.is_set():
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)
    await device_client.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
