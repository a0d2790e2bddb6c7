import asyncio
import os

from azure.iot.device import Message
from azure.iot.device.aio import IoTHubDeviceClient


async def main():
    conn_str = os.getenv("IOTHUB_DEVICE_CONNECTION_STRING")
    device_client = IoTHubDeviceClient.create_from_connection_string(conn_str, websockets=True)
    await device_client.connect()
    for i in range(1, 4):
        print("sending message #" + str(i))
        await device_client.send_message(Message("test wind speed " + str(i)))
    await device_client.disconnect()
    print("connected:", device_client.connected)
    await device_client.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
