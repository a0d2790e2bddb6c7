"""azure-iot-device's ProvisioningDeviceClient against the local hub."""

import asyncio

import pytest
from azure.iot.device import X509, exceptions
from azure.iot.device.aio import IoTHubDeviceClient, ProvisioningDeviceClient

from host_tests.support.processes import ca_pem
from iothub.provisioning import derive_device_key
from tools.service.client import ServiceClient

transports = pytest.mark.parametrize("websockets", [False, True], ids=["TCP", "WebSocket"])


def run(redirected_hub, scenario):
    """Run scenario(service)."""

    async def main():
        async with ServiceClient.create_for_local_hub(redirected_hub) as service:
            await scenario(service)

    asyncio.run(asyncio.wait_for(main(), 60))


def with_key(redirected_hub, name, key, **options):
    return ProvisioningDeviceClient.create_from_symmetric_key(
        "localhost",
        name,
        redirected_hub["id_scope"],
        key,
        server_verification_cert=ca_pem(redirected_hub),
        **options,
    )


async def use(redirected_hub, service, result, **credentials):
    """Connect to the assigned hub and send."""
    state = result.registration_state
    assert result.status == "assigned"
    options = {"server_verification_cert": ca_pem(redirected_hub)}
    if "x509" in credentials:
        client = IoTHubDeviceClient.create_from_x509_certificate(
            hostname=state.assigned_hub, device_id=state.device_id, **credentials, **options
        )
    else:
        client = IoTHubDeviceClient.create_from_symmetric_key(
            hostname=state.assigned_hub, device_id=state.device_id, **credentials, **options
        )
    try:
        await client.connect()
        await client.send_message("provisioned")
        assert (await anext(service.local.telemetry(state.device_id)))["body"] == b"provisioned"
    finally:
        await client.shutdown()


@transports
def test_registration_with_an_individual_key(redirected_hub, websockets):
    async def scenario(service):
        name = f"dps-own-{websockets}"
        made = await service.enrollments.create(name)
        key = made["attestation"]["symmetricKey"]["primaryKey"]
        client = with_key(redirected_hub, name, key, websockets=websockets)
        client.provisioning_payload = {"a": 1}
        result = await client.register()
        assert result.registration_state.device_id == name
        assert result.registration_state.response_payload == '{"a": 1}'
        await use(redirected_hub, service, result, symmetric_key=key)
        again = await with_key(redirected_hub, name, key).register()
        assert again.registration_state.device_id == name

    run(redirected_hub, scenario)


def test_registration_with_a_group_key(redirected_hub):
    async def scenario(service):
        made = await service.enrollments.create("dps-group", group=True)
        group_key = made["attestation"]["symmetricKey"]["primaryKey"]
        key = derive_device_key(group_key, "dps-member")
        result = await with_key(redirected_hub, "dps-member", key).register()
        await use(redirected_hub, service, result, symmetric_key=key)

    run(redirected_hub, scenario)


def test_registration_with_a_certificate(redirected_hub, make_certificate):
    async def scenario(service):
        shown = make_certificate("dps-x509")
        trusted = {"clientCertificates": {"primary": {"certificate": shown.pem}}}
        await service.enrollments.create("dps-x509", attestation={"type": "x509", "x509": trusted})
        x509 = X509(str(shown.file), str(shown.key_file))
        client = ProvisioningDeviceClient.create_from_x509_certificate(
            "localhost",
            "dps-x509",
            redirected_hub["id_scope"],
            x509,
            server_verification_cert=ca_pem(redirected_hub),
        )
        await use(redirected_hub, service, await client.register(), x509=x509)

    run(redirected_hub, scenario)


def test_registration_without_enrollment_is_refused(redirected_hub):
    async def scenario(service):
        with pytest.raises(exceptions.CredentialError):
            await with_key(redirected_hub, "dps-stranger", "A" * 43 + "=").register()

    run(redirected_hub, scenario)
