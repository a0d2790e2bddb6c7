"""Registers with the provisioning service and connects to the assigned hub, `times` times."""

from harness import describe, run, say, settings

from iothub import ProvisioningDeviceClient


def made():
    host, registration_id, scope = settings["registration"]
    given = {
        "server_verification_cert": settings["ca"],
        "timeout": 5,
        "operation_timeout": 30,
        "websockets": settings["options"]["websockets"],
        "cache": settings.get("cache"),
    }
    if "certificate" in settings:
        from iothub import X509

        return ProvisioningDeviceClient.create_from_x509_certificate(
            host, registration_id, scope, X509(*settings["certificate"]), **given
        )
    return ProvisioningDeviceClient.create_from_symmetric_key(
        host, registration_id, scope, **settings["keys"], **given
    )


async def register():
    client = made()
    client.provisioning_payload = settings.get("payload")
    result = await client.register()
    state = result.registration_state
    say("registered", result.status, state.assigned_hub, state.device_id, state.response_payload)


async def connect():
    client = made()
    registering = client.register

    async def counted():
        say("registering")
        return await registering()

    client.register = counted
    websockets = settings["options"]["websockets"]
    device = await client.connect(
        lambda one: say("prepared", one.connected), websockets=websockets, timeout=5
    )
    await device.send_message("provisioned")
    say("sent")
    await device.shutdown()


async def main():
    for step in settings["steps"]:
        try:
            await (register() if step == "register" else connect())
        except Exception as error:
            say("error", *describe(error))


run(main)
