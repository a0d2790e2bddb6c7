import asyncio
import os

from azure.iot.device.aio import IoTHubDeviceClient

TELEMETRY_INTERVAL = 0.2


async def send_telemetry(device_client):
    number = 0
    while True:
        number += 1
        await device_client.send_message("reading {}".format(number))
        await asyncio.sleep(TELEMETRY_INTERVAL)


async def main():
    conn_str = os.getenv("IOTHUB_DEVICE_CONNECTION_STRING")
    device_client = IoTHubDeviceClient.create_from_connection_string(conn_str)
    await device_client.connect()
    telemetry = asyncio.create_task(send_telemetry(device_client))
    await asyncio.sleep(TELEMETRY_INTERVAL * 6)
    telemetry.cancel()
    try:
        await telemetry
    except asyncio.CancelledError:
        print("telemetry was stopped by the user")
    await device_client.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
