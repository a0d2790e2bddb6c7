"""A hub in memory that speaks MQTT to a client over a MemoryStream, for both interpreters."""

from host_tests.support.memory_stream import MemoryStream

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 12, 14


class MQTTHubStream(MemoryStream):
    """It answers what is written at once, except for those of `silent`: connack, suback, puback,
    pingresp, twin.

    code: CONNACK's; present: whether the session is. twin: the body that answers a GET.
    heard: what came, in order: ("connect", user name, password or None), ("subscribe", filter),
    ("publish", topic, body, QoS, DUP), ("puback", packet id), ("pingreq",), ("disconnect",).
    """

    def __init__(self, code=0, present=False, silent=()):
        super().__init__()
        self.code, self.present, self.silent = code, present, set(silent)
        self.twin = b'{"desired": {"$version": 1}, "reported": {"$version": 1}}'
        self.statuses = []  # of the next answers about the twin
        self.heard = []
        self.unacknowledged = []  # packet ids of messages without a PUBACK
        self._buffer = bytearray()

    # -- for the test -----------------------------------------------------------------------

    def kinds(self):
        return [told[0] for told in self.heard]

    def telemetry(self):
        """The bodies that came at QoS 1."""
        return [told[2] for told in self.heard if told[0] == "publish" and told[3]]

    def publish(self, topic, body=b"", pid=0):
        """Send a PUBLISH, at QoS 1 if it has a packet id."""
        topic = topic.encode()
        payload = len(topic).to_bytes(2, "big") + topic
        payload += (pid.to_bytes(2, "big") if pid else b"") + body
        size, length = len(payload), bytearray()
        while size > 127:
            length.append(size & 127 | 128)
            size >>= 7
        length.append(size)
        self.send(bytes((0x32 if pid else 0x30,)) + bytes(length) + payload)

    def acknowledge(self):
        """Send the PUBACK of the oldest message without one."""
        self.send(b"\x40\x02" + self.unacknowledged.pop(0).to_bytes(2, "big"))

    # -- the peer ---------------------------------------------------------------------------

    async def write(self, data):
        await super().write(data)
        self.written[:] = b""
        self._buffer.extend(data)
        while True:
            packet = self._packet()
            if packet is None:
                return
            self._on_packet(*packet)

    def _packet(self):
        """(first byte, body) of the next packet, or None."""
        size = shift = 0
        for at in range(1, len(self._buffer)):
            byte = self._buffer[at]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                end = at + 1 + size
                if len(self._buffer) < end:
                    return None
                first, body = self._buffer[0], bytes(self._buffer[at + 1 : end])
                self._buffer = self._buffer[end:]
                return first, body
        return None

    def _answer(self, name, data):
        if name not in self.silent:
            self.send(data)

    def _on_packet(self, first, body):
        kind = first >> 4
        if kind == CONNECT:
            fields, at = [], 10
            while at < len(body):
                size = int.from_bytes(body[at : at + 2], "big")
                fields.append(body[at + 2 : at + 2 + size].decode())
                at += 2 + size
            password = fields.pop() if body[7] & 0x40 else None
            self.heard.append(("connect", fields[-1], password))
            self._answer("connack", bytes((0x20, 2, self.present, self.code)))
        elif kind == SUBSCRIBE:
            size = int.from_bytes(body[2:4], "big")
            self.heard.append(("subscribe", body[4 : 4 + size].decode()))
            self._answer("suback", b"\x90\x03" + body[:2] + body[-1:])
        elif kind == PUBLISH:
            self._on_publish(first, body)
        elif kind == PUBACK:
            self.heard.append(("puback", int.from_bytes(body, "big")))
        elif kind == PINGREQ:
            self.heard.append(("pingreq",))
            self._answer("pingresp", b"\xd0\x00")
        elif kind == DISCONNECT:
            self.heard.append(("disconnect",))

    def _on_publish(self, first, body):
        end = 2 + int.from_bytes(body[:2], "big")
        topic, qos = body[2:end].decode(), first >> 1 & 3
        payload = body[end + 2 * qos :]
        self.heard.append(("publish", topic, payload, qos, bool(first & 8)))
        if qos:
            self.unacknowledged.append(int.from_bytes(body[end : end + 2], "big"))
            if "puback" not in self.silent:
                self.acknowledge()
        elif topic.startswith("$iothub/twin/") and "twin" not in self.silent:
            get = topic.startswith("$iothub/twin/GET/")
            status = self.statuses.pop(0) if self.statuses else 200 if get else 204
            rid = topic.partition("?")[2]
            answer = f"$iothub/twin/res/{status}/?{rid}&$version=2"
            self.publish(answer, self.twin if get and status == 200 else b"")
