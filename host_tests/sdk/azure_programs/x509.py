import asyncio
import os

from azure.iot.device import X509, Message
from azure.iot.device.aio import IoTHubDeviceClient


async def main():
    x509 = X509(cert_file=os.getenv("X509_CERT_FILE"), key_file=os.getenv("X509_KEY_FILE"))
    device_client = IoTHubDeviceClient.create_from_x509_certificate(
        hostname=os.getenv("HOSTNAME_OF_HUB"), device_id=os.getenv("DEVICE_ID"), x509=x509
    )
    await device_client.connect()
    for i in range(1, 4):
        print("sending message #" + str(i))
        await device_client.send_message(Message("test wind speed " + str(i)))
    await device_client.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
