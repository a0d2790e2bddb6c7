"""Bytes of QoS 1 telemetry on the wire, from MicroPython to mosquitto over TLS 1.2: sent by the
client on an open connection, TLS records included. The least that TLS and MQTT allow is one record
a message, or one record for a whole burst.
"""

from . import brokers, programs
from .rows import OURS, Goal, Row
from .simulated_network import SimulatedNetwork

CLIENTS = {
    OURS: "ours",
    "umqtt.simple": "umqtt_simple",
    "chumicro-mqtt": "chumicro",
    "raw": "raw",
}
# PUBLISH: type, remaining length, topic, packet id, payload.
PACKET = 1 + 2 + 2 + len(programs.TOPIC) + 2 + programs.PAYLOAD
# A record of TLS 1.2 with AES-GCM: its header, the explicit part of the nonce, the tag (RFC 5288).
RECORD = 5 + 8 + 16
BURSTS = (1, 10, 30)


async def measure(rounds, quick=False):
    """Rows of bytes a message, alone and in a burst; they are counted, so one round is enough."""
    names = [OURS] if quick else programs.available(CLIENTS)
    found = {count: {} for count in BURSTS}
    async with brokers.mosquitto() as broker:
        if broker is None:
            return []
        for _ in range(rounds):
            for name in names:
                for count, taken in (await _bytes(broker, name)).items():
                    found[count].setdefault(name, []).append(taken / count)
    return [_row(count, values) for count, values in found.items()]


def _row(count, values):
    limit = (PACKET * count + RECORD) / count
    what = "alone" if count == 1 else f"in a burst of {count}"
    return Row(
        f"a message of {programs.PAYLOAD} bytes, {what}",
        "bytes on the wire",
        values,
        (Goal(limit),),
        f"{PACKET} of MQTT, and {RECORD} of TLS for each record: the goals are the least there is",
    )


async def _bytes(broker, name):
    """{messages in a burst: bytes that the client sent for it}"""
    most = max(BURSTS)
    async with SimulatedNetwork(broker.port) as network:
        settings = programs.telemetry_settings(broker, most, port=network.port, bursts=True)
        folders = programs.folders_of(name)
        found = {}
        async with programs.client(CLIENTS[name], settings, folders, "2048wK") as client:
            await client.expect("ready")
            (connection,) = network.connections
            for count in BURSTS:
                before = connection.sent.bytes
                await client.tell("send", count)
                await client.expect("ready")
                found[count] = connection.sent.bytes - before
    return found
