"""Registration with the Device Provisioning Service, in both interpreters."""

import pytest

from host_tests.support.certificates import Certificate

TRANSPORTS = ("mqtt",)


def registration(testbed, registration_id, scope=None, front="mqtt"):
    host = f"localhost:{testbed.hub[f'{front}_port']}"
    return {"registration": [host, registration_id, scope or testbed.hub["id_scope"]]}


async def said(testbed, **settings):
    async with testbed.program("provision", **settings) as program:
        await program.expect("end")
        return program.said


def test_registration_with_an_individual_key(testbed):
    async def scenario():
        async with testbed.service() as service:
            name = f"own-{testbed.name}{testbed.websockets}"
            made = await service.enrollments.create(name, deviceId=name + "-device")
            key = made["attestation"]["symmetricKey"]["primaryKey"]
            words = await said(
                testbed,
                **registration(testbed, name),
                keys={"symmetric_key": key},
                payload={"modelId": "dtmi:a;1"},
                steps=["register", "connect"],
            )
            given = [name + "-device", {"modelId": "dtmi:a;1"}]
            assert words[0] == ["registered", "assigned", "localhost", *given]
            assert words[1:4] == [["registering"], ["prepared", False], ["sent"]]
            words = await said(
                testbed,
                **registration(testbed, name, front="https"),
                keys={"symmetric_key": key},
                options={"websockets": True},
                steps=["connect"],
            )
            assert ["sent"] in words
            event = await anext(service.local.telemetry(name + "-device"))
            assert event["body"] == b"provisioned"

    testbed.run(scenario)


def test_registration_with_a_group_key(testbed):
    async def scenario():
        async with testbed.service() as service:
            name = f"member-{testbed.name}{testbed.websockets}"
            desired = {"properties": {"desired": {"first": 1}}}
            made = await service.enrollments.create("group", group=True, initialTwin=desired)
            key = made["attestation"]["symmetricKey"]["secondaryKey"]
            keys = {"keys": {"group_key": key}}
            words = await said(testbed, **registration(testbed, name), **keys, steps=["connect"])
            assert ["sent"] in words
            assert (await service.get_twin(name))["properties"]["desired"]["first"] == 1

    testbed.run(scenario)


@pytest.mark.parametrize("group", [False, True], ids=["thumbprint", "authority"])
def test_registration_with_a_certificate(testbed, tmp_path, group):
    async def scenario():
        async with testbed.service() as service:
            name = f"x509-{group}-{testbed.name}{testbed.websockets}".lower()
            authority = Certificate(tmp_path, "authority", None, True) if group else None
            own = Certificate(tmp_path, name, authority)
            which = "signingCertificates" if group else "clientCertificates"
            trusted = {which: {"primary": {"certificate": (authority or own).pem}}}
            attestation = {"type": "x509", "x509": trusted}
            await service.enrollments.create(name, group=group, attestation=attestation)
            words = await said(
                testbed,
                **registration(testbed, name),
                certificate=[str(own.file), str(own.key_file)],
                steps=["connect"],
            )
            assert ["sent"] in words

    testbed.run(scenario)


def test_cached_assignment_is_tried_first(testbed, tmp_path):
    async def scenario():
        async with testbed.service() as service:
            name = f"cached-{testbed.name}{testbed.websockets}"
            made = await service.enrollments.create(name)
            settings = {
                "keys": {"symmetric_key": made["attestation"]["symmetricKey"]["primaryKey"]},
                "cache": str(tmp_path / "assignment.json"),
                "steps": ["connect", "connect"],
            }
            words = await said(testbed, **registration(testbed, name), **settings)
            assert words.count(["registering"]) == 1
            assert words.count(["sent"]) == 2
            assert (
                settings["keys"]["symmetric_key"] not in (tmp_path / "assignment.json").read_text()
            )
            await service.delete_device(name)
            settings["steps"] = ["connect"]
            words = await said(testbed, **registration(testbed, name), **settings)
            assert words.count(["registering"]) == words.count(["sent"]) == 1
            # Another registration's cache is nobody's.
            other = await service.enrollments.create(name + "-other")
            settings["keys"] = {
                "symmetric_key": other["attestation"]["symmetricKey"]["primaryKey"]
            }
            words = await said(testbed, **registration(testbed, name + "-other"), **settings)
            assert words.count(["registering"]) == words.count(["sent"]) == 1

    testbed.run(scenario)


def test_refused_registrations(testbed):
    async def scenario():
        async with testbed.service() as service:
            name = f"refused-{testbed.name}{testbed.websockets}"
            made = await service.enrollments.create(name, provisioningStatus="disabled")
            keys = {"symmetric_key": made["attestation"]["symmetricKey"]["primaryKey"]}
            for settings, expected in (
                ({"keys": keys}, ["ServiceError", "register", "disabled"]),
                ({"keys": {"symmetric_key": "A" * 43 + "="}}, ["CredentialError", "connack", 5]),
                (
                    {"keys": keys, **registration(testbed, name, "0neNOBODY")},
                    ["CredentialError", "connack", 5],
                ),
            ):
                settings = {**registration(testbed, name), **settings, "steps": ["register"]}
                assert (await said(testbed, **settings))[0] == ["error", *expected]

    testbed.run(scenario)
