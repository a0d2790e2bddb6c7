"""The hub as a provisioning service: the enrollment command, restarts, refusals."""

import asyncio
import json

import pytest

from host_tests.support.processes import hub_process, run_tools
from iothub import ProvisioningDeviceClient
from iothub.errors import ServiceError
from iothub.provisioning import derive_device_key
from tools.hub.app import Hub
from tools.service.client import ServiceClient


def enrollment(folder, *arguments):
    return run_tools("enrollment", *arguments, "--data", str(folder))


def register(line, ca_file, registration_id=None, **options):
    """Register with the values that the command printed: the RegistrationResult."""
    given = json.loads(line)
    client = ProvisioningDeviceClient.create_from_symmetric_key(
        given["provisioning_host"],
        given.get("registration_id") or registration_id,
        given["id_scope"],
        given.get("symmetric_key"),
        given.get("group_key"),
        server_verification_cert=ca_file,
        **options,
    )
    return asyncio.run(asyncio.wait_for(client.register(), 30))


def test_enrollments_survive_a_restart(tmp_path):
    with hub_process(tmp_path) as hub:
        own = enrollment(tmp_path, "create", "board-1").stdout
        group = enrollment(tmp_path, "create", "boards", "--group").stdout
        assert register(own, hub["ca_file"]).registration_state.sub_status == "initialAssignment"
        listed = enrollment(tmp_path, "list").stdout.splitlines()
        assert listed == [
            "board-1 device symmetricKey enabled",
            "boards group symmetricKey enabled",
        ]
        scope = hub["id_scope"]
    with hub_process(tmp_path) as hub:
        assert hub["id_scope"] == scope
        shown = json.loads(enrollment(tmp_path, "show", "boards", "--group").stdout)
        assert shown["group_key"] == json.loads(group)["group_key"]
        shown = enrollment(tmp_path, "show", "boards", "--group").stdout
        result = register(shown, hub["ca_file"], "board-2")
        assert result.registration_state.device_id == "board-2"
        own = enrollment(tmp_path, "show", "board-1").stdout
        assert register(own, hub["ca_file"]).registration_state.sub_status == "deviceDataMigrated"
        assert enrollment(tmp_path, "delete", "board-1").returncode == 0
        gone = enrollment(tmp_path, "show", "board-1")
        assert gone.returncode == 1
        assert "no such enrollment: board-1" in gone.stderr
        assert len(gone.stderr.splitlines()) == 1
        assert run_tools("device", "list", "--data", str(tmp_path)).stdout.count("enabled") == 2


def test_derived_group_key_is_azures():
    """The example is from Microsoft's documentation of symmetric key attestation."""
    group_key = (
        "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
    )
    key = derive_device_key(group_key, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")
    assert key == "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="


def test_early_polling_is_throttled_and_the_client_waits(tmp_path):
    async def scenario():
        async with Hub(tmp_path, ports=dict.fromkeys(USUAL_PORTS, 0)) as hub:
            found = []
            result = hub.core.provisioning.result

            def watched(*arguments):
                try:
                    found.append("answered")
                    return result(*arguments)
                except Exception as error:
                    found[-1] = type(error).__name__
                    raise

            hub.core.provisioning.result = watched
            made = hub.core.provisioning.put("enrollments", "careful", {})
            client = ProvisioningDeviceClient.create_from_symmetric_key(
                f"localhost:{hub.ports['mqtt_port']}",
                "careful",
                hub.ports["id_scope"],
                made["attestation"]["symmetricKey"]["primaryKey"],
                server_verification_cert=hub.ports["ca_file"],
            )
            await client.register()
            assert found == ["answered"]

    asyncio.run(asyncio.wait_for(scenario(), 30))


USUAL_PORTS = ("mqtt", "amqp", "amqp_plain", "https")


@pytest.mark.parametrize(
    "name, fields",
    [
        ("-bad-", {}),
        ("x" * 129, {}),
        ("ok", {"attestation": {"type": "tpm"}}),
        ("ok", {"attestation": {"type": "x509"}}),
        ("ok", {"attestation": {"type": "x509", "x509": {"clientCertificates": {"primary": {}}}}}),
        ("ok", {"attestation": {"symmetricKey": {"primaryKey": "no base64"}}}),
        ("ok", {"attestation": "key"}),
        ("ok", {"initialTwin": []}),
    ],
)
def test_invalid_enrollment_is_refused(tmp_path, name, fields):
    async def scenario():
        async with Hub(tmp_path, ports=dict.fromkeys(USUAL_PORTS, 0)) as hub:
            ports = hub.ports
            async with ServiceClient.create_for_local_hub(ports) as service:
                with pytest.raises(ServiceError) as refused:
                    await service.enrollments.create(name, **fields)
                assert refused.value.code == 400
                assert await service.enrollments.list() == []

    asyncio.run(asyncio.wait_for(scenario(), 30))
