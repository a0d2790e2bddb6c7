"""Fixtures: a hub in this process for each test, and raw MQTT and AMQP clients of it."""

import asyncio
import base64
import contextlib
import time
from urllib.parse import quote

import pytest

from host_tests.support import mqtt_packets
from host_tests.support.amqp_peer import open_peer
from host_tests.support.mqtt_client import open_client
from tools.hub import DEFAULT_PORTS
from tools.hub.app import Hub
from tools.hub.core import auth
from tools.service.client import ServiceClient


class Clock:
    """The hub's clock, which a test can set ahead."""

    def __init__(self):
        self.ahead = 0

    def __call__(self):
        return time.time() + self.ahead


class HubTestbed:
    """A hub in this process, its service client, and raw connections to it."""

    def __init__(self, hub, clock, service):
        self.hub = hub
        self.clock = clock
        self.service = service

    def token(self, device_id, key, life=3600, hub="localhost"):
        return self._token(f"{hub}/devices/{device_id}", key, life)

    def service_token(self, policy="iothubowner", life=3600, resource="localhost"):
        key = self.hub.core.policy_keys[policy]
        return self._token(resource, key, life) + f"&skn={policy}"

    def _token(self, resource, key, life):
        resource = quote(resource, safe="")
        expiry = int(self.clock() + life)
        signature = quote(base64.b64encode(auth.sign(resource, expiry, key)), safe="")
        return f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}"

    async def peer(self):
        """An AmqpPeer on the TLS port, which has sent nothing yet."""
        return await open_peer(self.hub.ports["amqp_port"], self.hub.ports["ca_file"])

    async def amqp(self, token=None, **fields):
        """An AmqpPeer that is open, has a session, and has put `token`."""
        peer = await open_peer(self.hub.ports["amqp_plain_port"])
        await peer.open(**fields)
        await peer.begin()
        if token is not None:
            assert await peer.put_token(token) == 200
        return peer

    async def amqp_service(self):
        return await self.amqp(self.service_token())

    async def amqp_device(self, device_id, key):
        return await self.amqp(self.token(device_id, key))

    async def open(self):
        """An MqttClient that has sent nothing yet."""
        return await open_client(self.hub.ports["mqtt_port"], self.hub.ports["ca_file"])

    def connect_packet(self, device_id, password, client_id=None, user=None, **fields):
        """The bytes of a CONNECT packet."""
        user = user or f"localhost/{device_id}/?api-version=2021-04-12"
        return mqtt_packets.connect(client_id or device_id, user, password, **fields)

    async def device(self, device_id, key, **fields):
        """(MqttClient, session present) of a connection that the hub accepts."""
        device = await self.open()
        device.send(self.connect_packet(device_id, self.token(device_id, key), **fields))
        first, body = await device.packet()
        assert (first, body[1]) == (0x20, 0)
        return device, bool(body[0])

    async def new(self, device_id="dev"):
        """Create a device: its key."""
        made = await self.service.create_device(device_id)
        return made["authentication"]["symmetricKey"]["primaryKey"]


@pytest.fixture
def on_hub(tmp_path):
    """on_hub(scenario): run a coroutine function with a HubTestbed. The hub's folder is kept
    between calls.
    """

    @contextlib.asynccontextmanager
    async def running(clock):
        hub = Hub(tmp_path, ports=dict.fromkeys(DEFAULT_PORTS, 0), clock=clock)
        async with hub:
            ports = hub.ports
            async with ServiceClient.create_for_local_hub(ports) as service:
                yield HubTestbed(hub, clock, service)

    def run(scenario):
        async def main():
            async with running(Clock()) as testbed:
                return await scenario(testbed)

        return asyncio.run(asyncio.wait_for(main(), 60))

    return run
