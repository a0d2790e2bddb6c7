"""The local hub, which stores what it acknowledges, under a load of MQTT devices over TLS, beside
mosquitto, which stores nothing: connections a second, and acknowledged messages a second.

Packets are written beforehand and acknowledgements counted by their bytes alone, so that one
process of this outruns what it measures.
"""

import asyncio
import ssl

from . import brokers
from .rows import Row

CROWD = 1000  # devices connected at once
COUNTS = (1, 100)
SECONDS = 3
PATIENCE = 60
WINDOW = 500  # messages that one device has in flight
BODY = b"x" * 100


async def measure(rounds, quick=False):
    """Rows of messages, and of connections, a second."""
    from ..hub.command import raise_file_limit

    raise_file_limit()
    crowded, seconds = (100, 1) if quick else (CROWD, SECONDS)
    rates, connects = {count: {} for count in COUNTS}, {}
    async with (
        brokers.hub_with_devices(crowded) as hub,
        brokers.mosquitto(crowded) as mosquitto,
    ):
        for _ in range(rounds):
            for target in filter(None, (hub, mosquitto)):
                for count, found in rates.items():
                    value = await rate(target, count, seconds)
                    found.setdefault(target.name, []).append(value)
                value = crowded / await crowd(target, crowded)
                connects.setdefault(target.name, []).append(value)
    return [
        *(Row(_what(count), "messages a second", found) for count, found in rates.items()),
        Row(f"the local hub, {crowded:,} devices at once", "TLS connections a second", connects),
    ]


def _what(count):
    return f"the local hub, QoS 1 from {count} device{'s' if count > 1 else ''}"


def connect_packet(client_id, user, password):
    fields = [text.encode() for text in (client_id, user, password)]
    body = b"\0\x04MQTT\x04\xc0\0\0" + b"".join(
        len(field).to_bytes(2, "big") + field for field in fields
    )
    return b"\x10" + _length(len(body)) + body


def _length(size):
    out = b""
    while True:
        size, digit = size >> 7, size & 127
        out += bytes((digit | (128 if size else 0),))
        if not size:
            return out


def publish_packets(client_id, window):
    """`window` QoS 1 messages, ids 1 to `window`, as one piece of bytes."""
    topic = f"devices/{client_id}/messages/events/".encode()
    packets = b""
    for number in range(1, window + 1):
        body = len(topic).to_bytes(2, "big") + topic + number.to_bytes(2, "big") + BODY
        packets += b"\x32" + _length(len(body)) + body
    return packets


class Device:
    """One connection, which sends a window again each time half of it is acknowledged."""

    def __init__(self, login, target, window):
        self._login = login
        self._target = target
        self._half = max(1, window // 2)
        self._packets = publish_packets(login[0], self._half)

    async def connect(self, tls):
        opened = asyncio.open_connection("localhost", self._target.port, ssl=tls)
        self._reader, self._writer = await asyncio.wait_for(opened, PATIENCE)
        self._writer.write(connect_packet(*self._login))
        answer = await asyncio.wait_for(self._reader.readexactly(4), PATIENCE)
        if answer[3]:
            raise ConnectionError(f"{self._login[0]}: CONNACK {answer[3]}")

    async def run(self, until):
        """Send until the loop's clock shows `until`: the number of acknowledged messages."""
        loop = asyncio.get_running_loop()
        acknowledged = 0
        self._writer.write(self._packets)
        while loop.time() < until:
            self._writer.write(self._packets)
            await asyncio.wait_for(self._reader.readexactly(4 * self._half), PATIENCE)
            acknowledged += self._half
        await asyncio.wait_for(self._reader.readexactly(4 * self._half), PATIENCE)
        return acknowledged + self._half

    def close(self):
        self._writer.transport.abort()


async def connected(target, count, window, at_once=100):
    """`count` Devices, all connected."""
    tls = ssl.create_default_context(cafile=target.ca_file)
    devices = [Device(login, target, window) for login in target.logins[:count]]
    gate = asyncio.Semaphore(at_once)

    async def connect(device):
        async with gate:
            await device.connect(tls)

    await asyncio.gather(*map(connect, devices))
    return devices


async def rate(target, count, seconds, window=WINDOW):
    """Acknowledged messages a second, of `count` devices together."""
    devices = await connected(target, count, max(2, window // count))
    loop = asyncio.get_running_loop()
    start = loop.time()
    try:
        done = sum(await asyncio.gather(*(device.run(start + seconds) for device in devices)))
        return done / (loop.time() - start)
    finally:
        for device in devices:
            device.close()


async def crowd(target, count):
    """Seconds until `count` devices are connected at once."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    devices = await connected(target, count, 2)
    took = loop.time() - start
    for device in devices:
        device.close()
    return took
