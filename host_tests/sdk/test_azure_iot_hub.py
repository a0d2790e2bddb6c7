"""azure-iot-hub against the local hub."""

import pytest

models = pytest.importorskip("azure.iot.hub.models", reason="uamqp has no wheel for this Python")


def test_registry(registry):
    made = registry.create_device_with_sas("thing", "", "", "enabled")
    assert made.authentication.symmetric_key.primary_key
    assert registry.get_device("thing").etag == made.etag
    module = registry.create_module_with_sas("thing", "part", "", "", "")
    assert module.module_id == "part"
    assert [one.module_id for one in registry.get_modules("thing")] == ["part"]
    found = registry.query_iot_hub(models.QuerySpecification(query="SELECT * FROM devices"))
    assert "thing" in {twin.device_id for twin in found.items}
    assert registry.get_device_registry_statistics().total_device_count >= 1
    registry.update_device_with_sas(
        "thing", made.etag, "", "", "disabled", status_reason="it is broken"
    )
    assert registry.get_device("thing").status == "disabled"
    registry.delete_device("thing")
    with pytest.raises(Exception, match="Not Found"):
        registry.get_device("thing")


def test_x509_devices(registry):
    registry.create_device_with_x509("self", "A" * 40, "B" * 40, "enabled")
    kept = registry.get_device("self").authentication
    assert (kept.type, kept.x509_thumbprint.primary_thumbprint) == ("selfSigned", "A" * 40)
    registry.create_device_with_certificate_authority("ca", "enabled")
    assert registry.get_device("ca").authentication.type == "certificateAuthority"


def test_twin(registry, connect_device, new_inbox):
    client, patches = connect_device("twin"), new_inbox()
    client.on_twin_desired_properties_patch_received = patches.put
    client.get_twin()
    twin = registry.get_twin("twin")
    patch = models.Twin(tags={"floor": 2}, properties=models.TwinProperties(desired={"speed": 5}))
    changed = registry.update_twin("twin", patch, twin.etag)
    assert changed.properties.desired["speed"] == 5
    while patches.take().get("speed") != 5:
        pass  # the SDK may tell the whole section first
    client.patch_twin_reported_properties({"speed": 4})
    assert registry.get_twin("twin").properties.reported["speed"] == 4
    with pytest.raises(Exception, match="Precondition Failed"):
        registry.update_twin("twin", patch, twin.etag)


def test_method(registry, connect_device):
    from azure.iot.device import MethodResponse

    client = connect_device("callee")

    def answer(request):
        response = MethodResponse.create_from_method_request(request, 201, [request.payload])
        client.send_method_response(response)

    client.on_method_request_received = answer
    method = models.CloudToDeviceMethod(
        method_name="go", payload={"far": True}, connect_timeout_in_seconds=10
    )
    result = registry.invoke_device_method("callee", method)
    assert (result.status, result.payload) == (201, [{"far": True}])


def test_c2d_message(registry, connect_device, new_inbox):
    client, messages = connect_device("receiver"), new_inbox()
    client.on_message_received = messages.put
    properties = {"messageId": "m-1", "contentType": "text/plain", "colour": "grün", "empty": ""}
    registry.send_c2d_message("receiver", "hello", properties=properties)
    message = messages.take()
    assert message.data == b"hello"
    assert (message.message_id, message.content_type) == ("m-1", "text/plain")
    assert message.custom_properties == {"colour": "grün", "empty": ""}


def test_c2d_to_an_unknown_device_is_refused(registry):
    with pytest.raises(Exception, match="send failure"):
        registry.send_c2d_message("nobody", "hello")
