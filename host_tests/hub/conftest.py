"""A hub in this process for each test, and small clients of both its fronts."""

import asyncio
import base64
import contextlib
import ssl
import time
from urllib.parse import quote

import pytest

from host_tests.support.amqp_peer import open_peer
from tools.hub import DEFAULT_PORTS
from tools.hub.app import Hub
from tools.hub.core import auth
from tools.hub.mqtt import packets as mqtt_packets
from tools.service.client import ServiceClient

PATIENCE = 20


class Clock:
    """The hub's clock, which a test can move on."""

    def __init__(self):
        self.ahead = 0

    def __call__(self):
        return time.time() + self.ahead


class Device:
    """A raw MQTT connection: it sends what it is told and reads packets."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer
        self._buffer = b""

    def send(self, data):
        self._writer.write(data)

    async def packet(self):
        """(first byte, body) of the next packet; None at the end of the connection."""
        while True:
            taken = self._cut()
            if taken is not None:
                return taken
            try:
                data = await asyncio.wait_for(self._reader.read(65536), PATIENCE)
            except ConnectionError:
                return None
            if not data:
                return None
            self._buffer += data

    def _cut(self):
        length = 0
        for i, byte in enumerate(self._buffer[1:5]):
            length |= (byte & 127) << 7 * i
            if byte < 128:
                start = i + 2
                if len(self._buffer) < start + length:
                    return None
                first, body = self._buffer[0], self._buffer[start : start + length]
                self._buffer = self._buffer[start + length :]
                return first, body
        return None

    async def closed(self):
        """Read until the hub closes; the packets that came before."""
        packets = []
        while (packet := await self.packet()) is not None:
            packets.append(packet)
        return packets

    def abort(self):
        self._writer.transport.abort()


class Bench:
    """A running hub, and what a test does with it."""

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
        """An AMQP Peer on the TLS port, which has said nothing yet."""
        return await open_peer(self.hub.ports["amqp_port"], self.hub.ports["ca_file"])

    async def amqp(self, token=None, **fields):
        """An AMQP Peer that is open, in a session, and has put `token`."""
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
        """A TLS connection to the MQTT port."""
        tls = ssl.create_default_context(cafile=self.hub.ports["ca_file"])
        port = self.hub.ports["mqtt_port"]
        opened = asyncio.open_connection("localhost", port, ssl=tls)
        return Device(*await asyncio.wait_for(opened, PATIENCE))

    def connect_packet(self, device_id, password, **fields):
        """The bytes of a CONNECT packet."""
        user = fields.get("user", f"localhost/{device_id}/?api-version=2021-04-12")
        flags = 0xC0 | (2 if fields.get("clean") else 0)
        parts = [fields.get("client_id", device_id).encode()]
        if "will" in fields:
            flags |= 0x0C
            parts += fields["will"]
        parts += [user.encode(), password.encode()]
        body = b"\0\x04MQTT" + bytes((fields.get("level", 4), flags))
        body += fields.get("keep_alive", 60).to_bytes(2, "big")
        body += b"".join(len(part).to_bytes(2, "big") + part for part in parts)
        return b"\x10" + mqtt_packets.remaining_length(len(body)) + body

    async def device(self, device_id, key, **fields):
        """(Device, session present) connected; the CONNACK must accept."""
        device = await self.open()
        device.send(self.connect_packet(device_id, self.token(device_id, key), **fields))
        first, body = await device.packet()
        assert (first, body[1]) == (0x20, 0)
        return device, bool(body[0])

    async def new(self, device_id="dev"):
        """The key of a new device."""
        made = await self.service.create_device(device_id)
        return made["authentication"]["symmetricKey"]["primaryKey"]


@pytest.fixture
def on_hub(tmp_path):
    """Run a coroutine function with a Bench; the hub's folder is kept between calls."""

    @contextlib.asynccontextmanager
    async def running(clock):
        hub = Hub(tmp_path, ports=dict.fromkeys(DEFAULT_PORTS, 0), clock=clock)
        async with hub:
            ports = hub.ports
            async with ServiceClient.create_for_local_hub(ports) as service:
                yield Bench(hub, clock, service)

    def run(scenario):
        async def main():
            async with running(Clock()) as bench:
                return await scenario(bench)

        return asyncio.run(asyncio.wait_for(main(), 60))

    return run
