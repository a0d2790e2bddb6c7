import asyncio
import os

from azure.iot.device.aio import IoTHubDeviceClient, ProvisioningDeviceClient


async def main():
    symmetric_key = os.getenv("PROVISIONING_SYMMETRIC_KEY")
    provisioning_device_client = ProvisioningDeviceClient.create_from_symmetric_key(
        provisioning_host=os.getenv("PROVISIONING_HOST"),
        registration_id=os.getenv("PROVISIONING_REGISTRATION_ID"),
        id_scope=os.getenv("PROVISIONING_IDSCOPE"),
        symmetric_key=symmetric_key,
    )
    registration_result = await provisioning_device_client.register()
    print("The complete registration result is", registration_result.status)
    print(registration_result.registration_state.device_id)
    if registration_result.status == "assigned":
        assigned_hub = registration_result.registration_state.assigned_hub
        device_client = IoTHubDeviceClient.create_from_symmetric_key(
            symmetric_key=symmetric_key,
            hostname=os.getenv("HOSTNAME_OF_HUB") or assigned_hub,
            device_id=registration_result.registration_state.device_id,
        )
        await device_client.connect()
        await device_client.send_message("provisioned")
        print("sent")
        await device_client.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
