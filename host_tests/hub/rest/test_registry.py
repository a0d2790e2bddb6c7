"""The hub's REST front: the registry, ETags, errors in IoT Hub's form, permissions."""

import ssl

import aiohttp
import pytest

from iothub.errors import ServiceError
from tools.hub.rest.devices import LOCAL_C2D
from tools.service.client import ServiceClient


async def refused(call, status, words=""):
    with pytest.raises(ServiceError) as error:
        await call
    assert error.value.code == status
    assert words in str(error.value)


def test_create_read_update_and_delete_a_device(on_hub):
    async def scenario(testbed):
        service = testbed.service
        made = await service.create_device("a#1")
        keys = made["authentication"]["symmetricKey"]
        assert keys["primaryKey"] != keys["secondaryKey"]
        assert made["status"] == "enabled"
        assert made["connectionState"] == "Disconnected"
        await refused(service.create_device("a#1"), 409, "DeviceAlreadyExists")
        assert await service.get_device("a#1") == made
        changed = await service.update_device("a#1", status="disabled")
        assert changed["status"] == "disabled"
        assert changed["authentication"] == made["authentication"]
        assert [device["deviceId"] for device in await service.list_devices()] == ["a#1"]
        await service.delete_device("a#1")
        await refused(service.get_device("a#1"), 404, "DeviceNotFound")

    on_hub(scenario)


def test_given_key_is_stored_and_an_invalid_one_refused(on_hub):
    async def scenario(testbed):
        key = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"
        auth = {"symmetricKey": {"primaryKey": key, "secondaryKey": ""}}
        made = await testbed.service.create_device("a", authentication=auth)
        assert made["authentication"]["symmetricKey"]["primaryKey"] == key
        assert made["authentication"]["symmetricKey"]["secondaryKey"]
        auth = {"symmetricKey": {"primaryKey": "not base64!"}}
        await refused(testbed.service.create_device("b", authentication=auth), 400)
        await refused(testbed.service.create_device("b", status="asleep"), 400)
        await refused(testbed.service.create_device("b b"), 400)

    on_hub(scenario)


def test_twin_changes_need_the_right_etag(on_hub):
    async def scenario(testbed):
        service = testbed.service
        await testbed.new()
        etag = (await service.get_twin("dev"))["etag"]
        patch = {"properties": {"desired": {"a": 1}}}

        async def change(method, match):
            return await service.rest.request(
                method, "/twins/dev", json=patch, headers={"If-Match": match}
            )

        changed = await change("PATCH", f'"{etag}"')
        assert changed["etag"] != etag
        await refused(change("PATCH", f'"{etag}"'), 412)
        for match in ('"*"', "*"):
            changed = await change("PATCH", match)
        await change("PATCH", changed["etag"])
        patch = {"properties": {"desired": {"b": 2}}}
        changed = await change("PUT", "*")
        desired = changed["properties"]["desired"]
        assert (desired.get("a"), desired["b"], desired["$version"]) == (None, 2, 6)

    on_hub(scenario)


def test_error_has_iot_hubs_form(on_hub):
    async def scenario(testbed):
        tls = ssl.create_default_context(cafile=testbed.hub.ports["ca_file"])
        url = f"https://localhost:{testbed.hub.ports['https_port']}/devices/nobody"
        headers = {"Authorization": testbed.service.rest.token()}
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, ssl=tls, headers=headers) as response,
        ):
            assert response.status == 404
            assert response.headers["iothub-errorcode"] == "DeviceNotFound"
            body = await response.json()
            assert body["Message"].startswith("ErrorCode:DeviceNotFound;")
            assert body["ExceptionMessage"].startswith("Tracking ID:")

    on_hub(scenario)


def test_wrong_or_missing_token_is_refused_without_the_secret(on_hub, caplog):
    async def scenario(testbed):
        key = testbed.hub.core.policy_keys["iothubowner"]
        right = testbed.hub.ports["service_connection_string"]
        for wrong in (
            right.replace(key, "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"),
            right.replace("iothubowner", "nobody"),
        ):
            hub = {**testbed.hub.ports, "service_connection_string": wrong}
            async with ServiceClient.create_for_local_hub(hub) as service:
                await refused(service.list_devices(), 401)
        return key

    caplog.set_level("DEBUG")
    key = on_hub(scenario)
    assert key not in caplog.text
    assert "sig=" not in caplog.text


def test_every_service_path_needs_a_token(on_hub):
    async def scenario(testbed):
        await testbed.new("files")
        wrong = testbed.hub.ports["service_connection_string"].replace("iothubowner", "nobody")
        hub = {**testbed.hub.ports, "service_connection_string": wrong}
        async with ServiceClient.create_for_local_hub(hub) as stranger:
            paths = ("/devices/files", "/devices/notifications", "/twins/files", "/nothing/here")
            for path in paths:
                for method in ("GET", "PUT", "DELETE"):
                    await refused(stranger.rest.request(method, path), 401)

    on_hub(scenario)


def test_invalid_method_arguments_are_refused(on_hub):
    async def scenario(testbed):
        await testbed.new()
        call = testbed.service.rest.request
        path = "/twins/dev/methods"
        for body in ({}, {"methodName": 5}, {"methodName": "m", "responseTimeoutInSeconds": 999}):
            await refused(call("POST", path, json=body), 400)
        await refused(call("POST", path, data=b"{"), 400)
        await refused(call("POST", path, data=b"[]"), 400)

    on_hub(scenario)


def test_c2d_message_with_properties_in_headers(on_hub):
    async def scenario(testbed):
        await testbed.new()
        headers = {"iothub-messageid": "m", "iothub-app-colour": "red", "iothub-ack": "full"}
        path = "/devices/dev/messages/deviceBound"
        await testbed.service.rest.request("POST", path, data=b"hi", headers=headers)
        await refused(
            testbed.service.rest.request("POST", path, data=b"x", headers={"iothub-ack": "maybe"}),
            400,
        )
        await refused(testbed.service.rest.request("POST", path, data=bytes(65537)), 413)
        (message,) = testbed.hub.core.identities.get("dev").queue
        assert message.body == b"hi"
        assert message.properties["system"] == {"message-id": "m"}
        assert message.properties["application"] == {"colour": "red"}
        assert await testbed.service.purge_c2d_messages("dev") == 1

    on_hub(scenario)


def test_modules_and_statistics(on_hub):
    async def scenario(testbed):
        call = testbed.service.rest.request
        await testbed.new()
        await testbed.service.create_device("off", status="disabled")
        made = await call("PUT", "/devices/dev/modules/mod", json={})
        assert made["moduleId"] == "mod"
        assert [m["moduleId"] for m in await call("GET", "/devices/dev/modules")] == ["mod"]
        assert (await call("GET", "/twins/dev/modules/mod"))["moduleId"] == "mod"
        statistics = await call("GET", "/statistics/devices")
        assert statistics == {
            "totalDeviceCount": 2,
            "enabledDeviceCount": 1,
            "disabledDeviceCount": 1,
        }
        assert await call("GET", "/statistics/service") == {"connectedDeviceCount": 0}
        await testbed.service.delete_device("dev")
        await refused(call("GET", "/devices/dev/modules/mod"), 404)

    on_hub(scenario)


def test_bulk_request_reports_the_failed_operations(on_hub):
    async def scenario(testbed):
        await testbed.new("old")
        call = testbed.service.rest.request
        entries = [
            {"id": "a", "importMode": "create"},
            {"id": "old", "importMode": "update", "status": "disabled"},
        ]
        done = await call("POST", "/devices", json=entries)
        assert done == {"isSuccessful": True, "errors": [], "warnings": []}
        assert (await testbed.service.get_device("old"))["status"] == "disabled"
        wrong = [
            {"id": "a", "importMode": "create"},
            {"id": "b"},
            {"id": "old", "importMode": "x"},
        ]
        await refused(call("POST", "/devices", json=wrong), 400)
        assert (await testbed.service.get_device("b"))["deviceId"] == "b"
        await call("POST", "/devices", json=[{"id": "a", "importMode": "delete"}])
        await refused(testbed.service.get_device("a"), 404)
        for body in ({}, [5], [{"id": 5}], [{"id": str(i)} for i in range(101)]):
            await refused(call("POST", "/devices", json=body), 400)

    on_hub(scenario)


def test_query_in_pages(on_hub):
    async def scenario(testbed):
        for i in range(5):
            await testbed.new(f"d{i}")
            await testbed.service.patch_twin(f"d{i}", {"tags": {"n": i}})
        text = {"query": "SELECT * FROM devices WHERE tags.n >= 1"}
        found, token = [], None
        while True:
            headers = {"x-ms-max-item-count": "3"}
            headers |= {"x-ms-continuation": token} if token else {}
            page, answer = await testbed.service.rest.exchange(
                "POST", "/devices/query", json=text, headers=headers
            )
            assert answer["x-ms-item-type"] == "Twin"
            found += [twin["deviceId"] for twin in page]
            token = answer.get("x-ms-continuation")
            if token is None:
                break
        assert found == ["d1", "d2", "d3", "d4"]
        await refused(
            testbed.service.rest.request("POST", "/devices/query", json={"query": "x"}), 400
        )

    on_hub(scenario)


def test_configurations_survive_a_restart(on_hub):
    async def before(testbed):
        call = testbed.service.rest.request
        made = await call("PUT", "/configurations/c1", json={"targetCondition": "*"})
        assert made["id"] == "c1"
        await refused(call("PUT", "/configurations/c1", json={}), 409)
        await call("PUT", "/configurations/c2", json={})
        await call("DELETE", "/configurations/c2")

    async def after(testbed):
        (kept,) = await testbed.service.rest.request("GET", "/configurations")
        assert kept["targetCondition"] == "*"
        await refused(testbed.service.rest.request("GET", "/configurations/c2"), 404)

    on_hub(before)
    on_hub(after)


@pytest.mark.parametrize(
    "properties",
    [
        {"a": [1]},
        {"a": {}},
        {"a": {"type": "odd", "value": 1}},
        {"a": {"type": "uuid", "value": 1}},
    ],
)
def test_message_with_an_invalid_property_is_refused(on_hub, properties):
    async def scenario(testbed):
        await testbed.new()
        path = "/devices/dev/messages/deviceBound"
        message = {"body": "", "properties": properties}
        headers = {"Content-Type": LOCAL_C2D}
        await refused(
            testbed.service.rest.request("POST", path, json=message, headers=headers), 400
        )

    on_hub(scenario)
