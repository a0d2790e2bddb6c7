import asyncio
import os

from azure.iot.device.aio import IoTHubDeviceClient


async def main():
    conn_str = os.getenv("IOTHUB_DEVICE_CONNECTION_STRING")
    device_client = IoTHubDeviceClient.create_from_connection_string(conn_str)
    received = []

    def message_received_handler(message):
        print("the data in the message received was")
        print(message.data.decode())
        print("custom properties are")
        print(sorted(message.custom_properties.items()))
        print("content Type: {0}".format(message.content_type))
        received.append(message)

    device_client.on_message_received = message_received_handler
    await device_client.connect()
    print("READY")
    while len(received) < 2:
        await asyncio.sleep(0.1)
    await device_client.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
