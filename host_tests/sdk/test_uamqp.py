"""The snippets of IoT Hub's AMQP documentation, run with uamqp against the local hub.

What differs: Python 3's urllib, and that the access key comes from the hub's JSON line.
"""

import base64
import hashlib
import hmac
import json
import time
import urllib.parse
import uuid

import pytest

from host_tests.support.processes import service_key

uamqp = pytest.importorskip("uamqp", reason="uamqp has no wheel for this Python")


def generate_sas_token(uri, key, policy_name, expiry=3600):
    """The documentation's helper."""
    ttl = int(time.time() + expiry)
    sign_key = f"{urllib.parse.quote_plus(uri)}\n{ttl}".encode()
    digest = hmac.new(base64.b64decode(key), sign_key, hashlib.sha256).digest()
    token = {"sr": uri, "sig": base64.b64encode(digest).decode(), "se": str(ttl)}
    if policy_name is not None:
        token["skn"] = policy_name
    return "SharedAccessSignature " + urllib.parse.urlencode(token)


class Account:
    """hostname, keys, and the URIs of operations, as in the documentation."""

    def __init__(self, ports):
        self.hostname = "localhost"
        self.access_key = service_key(ports)

    def service_uri(self, operation, policy_name="service"):
        username = f"{policy_name}@sas.root.localhost"
        sas_token = generate_sas_token(self.hostname, self.access_key, policy_name)
        return self._uri(username, sas_token, operation)

    def device_uri(self, device_id, key, operation):
        username = f"{device_id}@sas.localhost"
        sas_token = generate_sas_token(f"{self.hostname}/devices/{device_id}", key, None)
        return self._uri(username, sas_token, operation)

    def _uri(self, username, sas_token, operation):
        quote = urllib.parse.quote_plus
        return f"amqps://{quote(username)}:{quote(sas_token)}@{self.hostname}{operation}"


@pytest.fixture
def account(redirected_hub):
    return Account(redirected_hub)


@pytest.fixture
def new_device(registry):
    """new_device(id): create a device: its key."""

    def make(device_id):
        made = registry.create_device_with_sas(device_id, "", "", "enabled")
        return made.authentication.symmetric_key.primary_key

    return make


def send_c2d(account, device_id, ack):
    """The documentation's cloud-to-device snippet: the message's id."""
    send_client = uamqp.SendClient(account.service_uri("/messages/devicebound"))
    msg_id = str(uuid.uuid4())
    msg_content = b"Message content goes here!"
    to = f"/devices/{device_id}/messages/devicebound"
    app_props = {"iothub-ack": ack}
    msg_props = uamqp.message.MessageProperties(message_id=msg_id, to=to)
    msg = uamqp.Message(msg_content, properties=msg_props, application_properties=app_props)
    send_client.queue_message(msg)
    results = send_client.send_all_messages()
    send_client.close()
    assert results == [uamqp.constants.MessageState.SendComplete]
    return msg_id


def receive_c2d(account, device_id, key, settle):
    """The documentation's device snippet: the messages, each settled by settle(message)."""
    uri = account.device_uri(device_id, key, f"/devices/{device_id}/messages/devicebound")
    receive_client = uamqp.ReceiveClient(uri, auto_complete=False)
    batch = receive_client.receive_message_batch(max_batch_size=5, timeout=10000)
    for msg in batch:
        settle(msg)
    receive_client.close()
    return batch


def receive_feedback(account):
    """The documentation's feedback snippet: {original message id: (status, device id)}."""
    uri = account.service_uri("/messages/serviceBound/feedback")
    receive_client = uamqp.ReceiveClient(uri)
    batch = receive_client.receive_message_batch(max_batch_size=10, timeout=10000)
    found = {}
    for msg in batch:
        assert msg.properties.content_type == b"application/vnd.microsoft.iothub.feedback.json"
        msg_body = json.loads(b"".join(msg.get_data()))
        for feedback in msg_body:
            found[feedback["originalMessageId"]] = feedback["statusCode"], feedback["deviceId"]
        msg.accept()
    receive_client.close()
    return found


@pytest.mark.parametrize(
    ("settle", "status"),
    [(lambda message: message.accept(), "Success"), (lambda m: m.reject(), "Rejected")],
    ids=["accept", "reject"],
)
def test_c2d_message_and_its_feedback(account, new_device, settle, status):
    device_id = f"feedback-{status}"
    key = new_device(device_id)
    msg_id = send_c2d(account, device_id, "full")
    (message,) = receive_c2d(account, device_id, key, settle)
    assert b"".join(message.get_data()) == b"Message content goes here!"
    assert message.properties.to == f"/devices/{device_id}/messages/devicebound".encode()
    assert message.properties.message_id == msg_id.encode()
    assert message.annotations[b"x-opt-sequence-number"] >= 0
    assert receive_feedback(account)[msg_id] == (status, device_id)


def test_abandoned_message_is_redelivered(account, new_device):
    key = new_device("undecided")
    msg_id = send_c2d(account, "undecided", "none")
    for settle in (lambda m: m.release(), lambda m: m.accept()):
        (message,) = receive_c2d(account, "undecided", key, settle)
        assert message.properties.message_id == msg_id.encode()


def set_endpoint_filter(uri, endpoint_filter):
    source_uri = uamqp.address.Source(uri)
    source_uri.set_filter(endpoint_filter)
    return source_uri


def test_telemetry_through_the_redirect(account, redirected_hub, new_device):
    key = new_device("sensor")
    uri = account.device_uri("sensor", key, "/devices/sensor/messages/events")
    send_client = uamqp.SendClient(uri)
    msg_props = uamqp.message.MessageProperties()
    msg_props.message_id = str(uuid.uuid4())
    msg_props.content_type = "application/json;charset=utf-8"
    application_properties = {"app_property_key": "app_property_value"}
    message = uamqp.Message(
        b'{"payload": "goes here"}',
        properties=msg_props,
        application_properties=application_properties,
    )
    send_client.queue_message(message)
    results = send_client.send_all_messages()
    assert results == [uamqp.constants.MessageState.SendComplete]

    # A device's events are all in one partition: the four are asked in turn.
    seen = [event for n in range(4) for event in receive_partition(account, n)]
    (event,) = [e for e in seen if b"".join(e.get_data()) == b'{"payload": "goes here"}']
    assert event.application_properties == {b"app_property_key": b"app_property_value"}
    assert event.properties.message_id == msg_props.message_id
    assert event.annotations[b"iothub-connection-device-id"] == b"sensor"
    assert event.annotations[b"x-opt-sequence-number"] >= 0
    assert event.annotations[b"x-opt-offset"]
    assert event.annotations[b"x-opt-enqueued-time"] > 1.7e12


def receive_partition(account, p_id):
    operation = f"/messages/events/ConsumerGroups/$Default/Partitions/{p_id}"
    uri = account.service_uri(operation, "iothubowner")
    endpoint_filter = b"amqp.annotation.x-opt-sequence-number > -1"
    receive_client = uamqp.ReceiveClient(set_endpoint_filter(uri, endpoint_filter))
    with pytest.raises(uamqp.errors.LinkRedirect) as caught:
        receive_client.receive_message_batch(max_batch_size=5)
    receive_client.close()
    address = caught.value.address.decode()
    sas_auth = uamqp.authentication.SASTokenAuth.from_shared_access_key(
        address, "iothubowner", account.access_key
    )
    receive_client = uamqp.ReceiveClient(
        set_endpoint_filter(address, endpoint_filter), auth=sas_auth
    )
    batch = receive_client.receive_message_batch(max_batch_size=50, timeout=2000)
    receive_client.close()
    return batch
