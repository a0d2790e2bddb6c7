"""Fixtures: a hub for each module, and Microsoft's SDKs redirected to it. Only the ports that the
SDKs dial and the authorities that they trust are changed.
"""

import queue

import certifi
import paho.mqtt.client
import pytest

from host_tests.support.certificates import Certificate
from host_tests.support.processes import ca_pem, hub_process

PATIENCE = 20


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A RunningHub for the tests of one module."""
    with hub_process(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def redirected_hub(hub, monkeypatch):
    """The RunningHub whose ports the SDKs dial, and whose CA they trust."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", hub["ca_file"])
    monkeypatch.setattr(certifi, "where", lambda: hub["ca_file"])
    connect = paho.mqtt.client.Client.connect

    def redirected(self, host, port=1883, *arguments, **options):
        usual = {8883: hub["mqtt_port"], 443: hub["https_port"]}
        return connect(self, host, usual[port], *arguments, **options)

    monkeypatch.setattr(paho.mqtt.client.Client, "connect", redirected)
    try:
        from uamqp import constants
    except ImportError:
        return hub  # there is no uamqp for the newest Python
    monkeypatch.setattr(constants, "DEFAULT_AMQPS_PORT", hub["amqp_port"])
    return hub


@pytest.fixture
def registry(redirected_hub):
    """azure-iot-hub's registry manager."""
    hub_sdk = pytest.importorskip("azure.iot.hub", reason="uamqp has no wheel for this Python")
    return hub_sdk.IoTHubRegistryManager.from_connection_string(
        redirected_hub["service_connection_string"]
    )


@pytest.fixture
def make_certificate(tmp_path):
    """make_certificate(name, issuer=None, is_ca=False): a Certificate."""
    return lambda name, *options: Certificate(tmp_path, name, *options)


class Inbox:
    """A queue between an SDK's handler, in a thread of the SDK, and the test."""

    def __init__(self):
        self._queue = queue.Queue()
        self.put = self._queue.put

    def take(self):
        return self._queue.get(timeout=PATIENCE)


@pytest.fixture
def new_inbox():
    return Inbox


@pytest.fixture
def connect_device(redirected_hub, registry):
    """connect_device(name): an azure-iot-device client of a new device, connected."""
    from azure.iot.device import IoTHubDeviceClient

    clients = []

    def connect(name, **options):
        made = registry.create_device_with_sas(name, "", "", "enabled")
        key = made.authentication.symmetric_key.primary_key
        client = IoTHubDeviceClient.create_from_connection_string(
            f"HostName=localhost;DeviceId={name};SharedAccessKey={key}",
            server_verification_cert=ca_pem(redirected_hub),
            **options,
        )
        clients.append(client)
        client.connect()
        return client

    yield connect
    for client in clients:
        client.shutdown()
