"""A scripted MQTT server: it answers a device as a hub does, or as no hub should.

The test says what it leaves out, what it answers instead, and what it sends unasked.
"""

import contextlib
import json

from host_tests.support import mqtt_packets
from host_tests.support.heard import Heard
from tools.hub.mqtt import packets

_KINDS = {packets.Connect: packets.CONNECT, packets.Publish: packets.PUBLISH}


class ScriptedMqttServer:
    """Sends every answer except those in `silent`: connack, suback, puback, pingresp, twin.

    instead: {name: what is sent in place of that answer, bytes or a function(bytes, connection) of
    bytes}. The device's packets are decoded strictly: packets.Malformed.
    """

    def __init__(self, *silent, instead=None):
        self.silent = set(silent)
        self.instead = instead or {}
        self.connections = 0
        self.published = []  # (connection, DUP, body) of telemetry
        self.heard = Heard()  # [connection, what, value, …] of all that came
        self.packets = Heard()  # [connection, packet type] of all that came
        self.sent = {}  # connection: the bytes that were sent to it
        self.desired = {"$version": 1}
        self.twin_body = None  # instead of a twin
        self.statuses = []  # of the next answers about the twin, before they are good again
        self.poison = None  # a body of telemetry at which the connection is closed
        self._writer = None

    async def serve(self, reader, writer):
        self.connections += 1
        self._writer, connection = writer, self.connections
        self.sent[connection] = bytearray()
        decoder = packets.Decoder(1 << 20)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                for packet in decoder.feed(data):
                    kind = _KINDS.get(type(packet)) or packet.kind
                    self.packets.note(connection, kind)
                    if kind == packets.DISCONNECT:
                        return
                    for name, answer in self._answers(packet, connection):
                        if name not in self.silent:
                            other = self.instead.get(name, answer)
                            answer = other(answer, connection) if callable(other) else other
                            self._write(writer, connection, answer)

    def _write(self, writer, connection, data):
        self.sent[connection] += data
        writer.write(data)

    def send(self, data):
        """Send bytes to the newest connection."""
        self._write(self._writer, self.connections, data)

    def message(self, body, packet_id, dup=False, bag="", device="any"):
        """Send a C2D message."""
        topic = f"devices/{device}/messages/devicebound/{bag}"
        self.send(mqtt_packets.publish(topic, body, packet_id, dup))

    def method(self, name, rid, payload=None):
        """Call a direct method; a payload of bytes is sent unchanged."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send(mqtt_packets.publish(f"$iothub/methods/POST/{name}/?$rid={rid}", body))

    def patch_desired(self, patch):
        """Send a change of desired properties."""
        topic = f"$iothub/twin/PATCH/properties/desired/?$version={patch.get('$version')}"
        self.send(mqtt_packets.publish(topic, json.dumps(patch).encode()))

    def cut(self):
        """Reset the newest connection, as a broken network does."""
        self._writer.transport.abort()

    def _answers(self, packet, connection):
        """[(name, bytes)] of the answers to a packet of the device."""
        if isinstance(packet, packets.Connect):
            return [("connack", packets.connack(0))]
        if isinstance(packet, packets.Publish):
            return self._answers_to_publish(packet, connection)
        if packet.kind == packets.SUBSCRIBE:
            return [("suback", packets.suback(packet.packet_id, [1]))]
        if packet.kind == packets.PINGREQ:
            self.heard.note(connection, "ping")
            return [("pingresp", packets.PINGRESP)]
        if packet.kind == packets.PUBACK:
            self.heard.note(connection, "puback", packet.packet_id)
        return []

    def _answers_to_publish(self, packet, connection):
        if packet.topic.startswith("$iothub/twin/"):
            return [("twin", self._twin(packet, connection))]
        if packet.topic.startswith("$iothub/methods/res/"):
            status, _, rid = packet.topic[len("$iothub/methods/res/") :].partition("/?$rid=")
            self.heard.note(connection, "method", rid, int(status), packet.body)
            return []
        self.published.append((connection, packet.dup, packet.body))
        if packet.body == self.poison:
            raise ConnectionAbortedError
        return [("puback", packets.puback(packet.packet_id))]

    def _twin(self, packet, connection):
        get = packet.topic.startswith("$iothub/twin/GET/")
        self.heard.note(connection, "get" if get else "report")
        status = self.statuses.pop(0) if self.statuses else 200 if get else 204
        body = b""
        if status == 200:
            twin = {"desired": self.desired, "reported": {"$version": 1}}
            body = self.twin_body or json.dumps(twin).encode()
        query = packet.topic.partition("?")[2]
        return mqtt_packets.publish(f"$iothub/twin/res/{status}/?{query}", body)
