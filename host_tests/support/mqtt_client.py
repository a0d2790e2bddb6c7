"""A raw MQTT connection to a hub: it sends the bytes that it is given, and reads packets."""

import asyncio
import ssl

from host_tests.support.mqtt_packets import Splitter

PATIENCE = 20


class MqttClient:
    """One connection; see open_client()."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer
        self._splitter = Splitter()

    def send(self, data):
        self._writer.write(data)

    async def packet(self):
        """(first byte, body) of the next packet; None at the end of the connection."""
        while (taken := self._splitter.take()) is None:
            try:
                data = await asyncio.wait_for(self._reader.read(65536), PATIENCE)
            except ConnectionError:
                return None
            if not data:
                return None
            self._splitter.feed(data)
        return taken[:2]

    async def closed(self):
        """Read until the hub closes; the packets that came before."""
        packets = []
        while (packet := await self.packet()) is not None:
            packets.append(packet)
        return packets

    def abort(self):
        self._writer.transport.abort()


async def open_client(port, ca_file):
    """An MqttClient with TLS, which has sent nothing."""
    tls = ssl.create_default_context(cafile=ca_file)
    opened = asyncio.open_connection("localhost", port, ssl=tls)
    return MqttClient(*await asyncio.wait_for(opened, PATIENCE))
