"""A TLS server that answers an MQTT device as a hub does, or as no hub should.

What it leaves out, what statuses it gives, and what it sends unasked is the test's to say.
"""

import asyncio
import contextlib
import json

from tools.hub.mqtt import packets

SHORT = {"timeout": 1, "operation_timeout": 20, "keep_alive": 4}
PATIENCE = 30


class ScriptedHub:
    """All answers come but for those in `silent`: connack, suback, puback, pingresp, twin."""

    def __init__(self, *silent):
        self.silent = set(silent)
        self.open = True  # to new connections
        self.connections = 0
        self.published = []  # (connection, DUP, body) of telemetry
        self.heard = []  # [connection, what, value …], of all that came
        self.desired = {"$version": 1}
        self.twin_body = None  # instead of a twin
        self.statuses = []  # of the next answers about the twin, before they are good again
        self._news = asyncio.Event()
        self._writer = None

    async def serve(self, reader, writer):
        if not self.open:
            writer.transport.abort()
            return
        self.connections += 1
        self._writer, connection = writer, self.connections
        decoder = packets.Decoder(1 << 20)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                for packet in decoder.feed(data):
                    for name, answer in self.answers(packet, connection):
                        if name not in self.silent:
                            self.write(writer, connection, answer)
        writer.close()

    async def hears(self, *wanted, count=1):
        """Wait until [connection, what, value …] has been heard `count` times."""
        while self.heard.count(list(wanted)) < count:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), PATIENCE)

    async def answered(self, rid):
        """Wait until a method is answered: its status."""
        while True:
            for words in self.heard:
                if words[1:3] == ["method", rid]:
                    return words[3]
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), PATIENCE)

    def write(self, writer, connection, data):
        """Send bytes to a connection."""
        writer.write(data)

    def send(self, data):
        """Send bytes to the connection that was made last."""
        self.write(self._writer, self.connections, data)

    def message(self, body, packet_id, dup=False, bag="", device="any"):
        """Send a C2D message."""
        topic = f"devices/{device}/messages/devicebound/{bag}"
        self.send(packets.publish(topic, body, 1, packet_id, dup))

    def method(self, name, rid, payload=None):
        """Call a direct method; a payload of bytes is sent as it is."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send(packets.publish(f"$iothub/methods/POST/{name}/?$rid={rid}", body))

    def patch_desired(self, patch):
        """Tell a change of desired properties."""
        topic = f"$iothub/twin/PATCH/properties/desired/?$version={patch.get('$version')}"
        self.send(packets.publish(topic, json.dumps(patch).encode()))

    def cut(self):
        """End the connection, as a broken network does."""
        self._writer.transport.abort()

    def answers(self, packet, connection):
        """[(what it is, bytes)] that answer a packet of the device's."""
        if isinstance(packet, packets.Connect):
            return [("connack", packets.connack(0))]
        if isinstance(packet, packets.Publish):
            return self._answers_to_publish(packet, connection)
        if packet.kind == packets.SUBSCRIBE:
            return [("suback", packets.suback(packet.packet_id, [1]))]
        if packet.kind == packets.PINGREQ:
            self._note(connection, "ping")
            return [("pingresp", packets.PINGRESP)]
        if packet.kind == packets.PUBACK:
            self._note(connection, "puback", packet.packet_id)
        return []

    def _answers_to_publish(self, packet, connection):
        if packet.topic.startswith("$iothub/twin/"):
            return [("twin", self._twin(packet, connection))]
        if packet.topic.startswith("$iothub/methods/res/"):
            status, _, rid = packet.topic[len("$iothub/methods/res/") :].partition("/?$rid=")
            self._note(connection, "method", rid, int(status), packet.body)
            return []
        self.published.append((connection, packet.dup, packet.body))
        return [("puback", packets.puback(packet.packet_id))]

    def _twin(self, packet, connection):
        get = packet.topic.startswith("$iothub/twin/GET/")
        self._note(connection, "get" if get else "report")
        status = self.statuses.pop(0) if self.statuses else 200 if get else 204
        body = b""
        if status == 200:
            twin = {"desired": self.desired, "reported": {"$version": 1}}
            body = self.twin_body or json.dumps(twin).encode()
        return packets.publish(
            f"$iothub/twin/res/{status}/?{packet.topic.partition('?')[2]}", body
        )

    def _note(self, *words):
        self.heard.append(list(words))
        self._news.set()


@contextlib.asynccontextmanager
async def device_of(bench, hub, tls, **options):
    """programs/device.py against a scripted hub; tls: the fixture localhost_tls."""
    async with program_of(bench, hub, tls, "device", options=options) as program:
        yield program


@contextlib.asynccontextmanager
async def program_of(bench, hub, tls, name, options, **settings):
    """Another program against a scripted hub."""
    context, ca = tls
    server = await asyncio.start_server(hub.serve, "127.0.0.1", 0, ssl=context)
    async with server:
        cs = bench.connection_string("any", "AAAA", port=server.sockets[0].getsockname()[1])
        settings.update({"connection_string": cs, "ca": ca, "options": {**SHORT, **options}})
        async with bench.program(name, **settings) as program:
            yield program
