import asyncio
import os

from azure.iot.device import exceptions
from azure.iot.device.aio import IoTHubDeviceClient


async def main():
    device_client = IoTHubDeviceClient.create_from_sastoken(os.getenv("IOTHUB_DEVICE_SAS_TOKEN"))

    async def new_sastoken_required():
        await device_client.update_sastoken(os.getenv("IOTHUB_DEVICE_NEXT_TOKEN"))

    device_client.on_new_sastoken_required = new_sastoken_required
    await device_client.connect()
    print("connected:", device_client.connected)
    await device_client.send_message("with a token that somebody else made")
    try:
        await device_client.update_sastoken("SharedAccessSignature sr=other&sig=x&se=1")
    except ValueError:
        print("that token is for another device")
    await device_client.update_sastoken(os.getenv("IOTHUB_DEVICE_NEXT_TOKEN"))
    await device_client.send_message("with the next token")
    await device_client.shutdown()
    print("connected:", device_client.connected)
    try:
        IoTHubDeviceClient.create_from_sastoken("no token")
    except ValueError:
        print("that is no token")
    print(issubclass(exceptions.CredentialError, Exception))


if __name__ == "__main__":
    asyncio.run(main())
