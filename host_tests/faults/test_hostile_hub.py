"""A hub that sends hostile bytes after CONNACK: the device reconnects and goes on."""

import asyncio
import os
import subprocess
import sys
from collections import Counter

import pytest

from host_tests.support.hostile_amqp import FRAMES
from host_tests.support.hostile_mqtt import LIMIT, PACKETS, whole_messages
from host_tests.support.mutation import Chance, mutated
from host_tests.support.scripted_amqp_server import ScriptedAmqpServer
from host_tests.support.scripted_mqtt_server import ScriptedMqttServer
from tools.files import ROOT
from tools.hub.mqtt import packets

TRANSPORTS = ("mqtt", "amqp")
CONNECTIONS = 50
GRACE = 0.2  # seconds for a device that waits for the rest of what is no packet


class Hostile:
    """Sends mutated bytes in place of a connection's first acknowledgement, and then resets it.
    The last of CONNECTIONS connections is served normally.
    """

    def __init__(self, seed, server, answer, parts):
        self._chance = Chance(seed)
        self._parts = parts
        self._server = server
        self.malformed = []  # why packets of the device were no MQTT
        server.instead[answer] = self._instead

    async def serve(self, reader, writer):
        if self._server.connections == CONNECTIONS - 1:
            self._server.desired = {"well": True, "$version": 1000}
        try:
            await self._server.serve(reader, writer)
        except packets.Malformed as error:
            self.malformed.append(str(error))
            writer.transport.abort()

    def _instead(self, answer, connection):
        if not connection == self._server.connections < CONNECTIONS:
            return answer
        asyncio.get_running_loop().call_later(GRACE, self._server.cut)
        return bytes(mutated(self._chance, self._parts, 8))


def acknowledged_by(server):
    """The number of messages that the device acknowledged over MQTT. Each was complete, and came
    on the same connection, as often as it was acknowledged.
    """
    acknowledged = Counter(
        (connection, words[0]) for connection, what, *words in server.heard if what == "puback"
    )
    for connection, sent in server.sent.items():
        whole = Counter(
            int.from_bytes(puback[2:], "big") for *_, puback in whole_messages(sent) if puback
        )
        for (where, pid), count in acknowledged.items():
            assert where != connection or count <= whole[pid], (connection, pid, sent)
    return sum(acknowledged.values())


def play(testbed, tls, seed):
    async def scenario():
        if testbed.transport == "mqtt":
            server = ScriptedMqttServer()
            hub = Hostile(seed, server, "puback", PACKETS)
        else:
            server = ScriptedAmqpServer()
            hub = Hostile(seed, server, "disposition", FRAMES)
        options = {"max_inbound": LIMIT, "timeout": 5, "operation_timeout": 90}
        async with testbed.program_on(hub, tls, "hostile", options) as program:
            assert await program.expect("well") == [True]
            await program.expect("end")
            assert "unknown" not in [words[0] for words in program.said], program.said
        if testbed.transport == "mqtt":
            assert acknowledged_by(server) > 0
            # A method's id is the hub's own, which the answer's topic repeats to the letter.
            assert all("string" in why or "wildcard" in why for why in hub.malformed), (
                hub.malformed
            )

    testbed.run(scenario)


def test_device_recovers_from_hostile_bytes(testbed, localhost_tls):
    play(testbed, localhost_tls, int(os.getenv("HOSTILE_SEED") or 1))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 22))
def test_device_recovers_from_many_hostile_bytes(testbed, localhost_tls, seed):
    play(testbed, localhost_tls, seed)


@pytest.mark.soak
@pytest.mark.timeout(1300)
def test_parsers_survive_many_hostile_bytes():
    environment = {**os.environ, "HOSTILE_SEED": "2", "HOSTILE_CASES": "10000"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-k", "hostile", "--timeout=300"] + ["host_tests/iothub"],
        cwd=ROOT,
        env=environment,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0
