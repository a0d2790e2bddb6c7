"""A hub whose bytes are hostile once it has welcomed the device, which gets over each of them."""

import asyncio
import os
import subprocess
import sys
from collections import Counter

import pytest

from host_tests.support.hostile_amqp import FRAMES
from host_tests.support.hostile_mqtt import LIMIT, PACKETS, whole_messages
from host_tests.support.mutation import Chance, mutated
from host_tests.support.scripted_amqp_server import ScriptedAmqpHub
from host_tests.support.scripted_mqtt_server import ScriptedHub, program_of
from tools.files import ROOT
from tools.hub.mqtt import packets

TRANSPORTS = ("mqtt", "amqp")
CONNECTIONS = 50
GRACE = 0.2  # seconds for a device that waits for the rest of what is no packet


class Hostile:
    """What both hubs share: from the last of so many connections on they are well again."""

    def __init__(self, seed):
        super().__init__()
        self._until = CONNECTIONS
        self._chance = Chance(seed)

    async def serve(self, reader, writer):
        if self.connections == self._until - 1:
            self.desired = {"well": True, "$version": 1000}
        await super().serve(reader, writer)

    def nonsense(self, parts):
        """Bytes that are sent instead of an answer; the connection ends in a while."""
        asyncio.get_running_loop().call_later(GRACE, self._writer.transport.abort)
        return bytes(mutated(self._chance, parts, 8))


class HostileMqttHub(Hostile, ScriptedHub):
    """Instead of the first PUBACK of a connection it sends mutated packets, and a method."""

    def __init__(self, seed):
        super().__init__(seed)
        self._met = {}  # connection: what the device was sent

    def write(self, writer, connection, data):
        self._met[connection] = self._met.get(connection, b"") + data
        super().write(writer, connection, data)

    async def serve(self, reader, writer):
        try:
            await super().serve(reader, writer)
        except packets.Malformed as error:
            # An id of the hub's own, which a method's answer repeats to the letter.
            assert "string" in str(error) or "wildcard" in str(error), error
            writer.transport.abort()

    def answers(self, packet, connection):
        telemetry = isinstance(packet, packets.Publish) and packet.qos == 1
        if telemetry and connection == self.connections < self._until:
            return [("nonsense", self.nonsense(PACKETS))]
        return super().answers(packet, connection)

    def check(self):
        """What was acknowledged had come whole, on the same connection, as often."""
        acknowledged = Counter(
            (connection, words[0]) for connection, what, *words in self.heard if what == "puback"
        )
        for connection, met in self._met.items():
            whole = Counter(
                int.from_bytes(puback[2:], "big") for *_, puback in whole_messages(met) if puback
            )
            for (where, pid), count in acknowledged.items():
                assert where != connection or count <= whole[pid], (connection, pid, met)
        return sum(acknowledged.values())


class HostileAmqpHub(Hostile, ScriptedAmqpHub):
    """Instead of the first disposition of a connection it sends mutated frames."""

    def _say(self, what, data):
        hostile = what == "disposition" and self.connections < self._until
        super()._say(what, self.nonsense(FRAMES) if hostile else data)


def play(bench, tls, seed):
    async def scenario():
        hub = {"mqtt": HostileMqttHub, "amqp": HostileAmqpHub}[bench.transport](seed)
        options = {"max_inbound": LIMIT, "timeout": 5, "operation_timeout": 90}
        async with program_of(bench, hub, tls, "hostile", options) as program:
            assert await program.expect("well") == [True]
            await program.expect("end")
            assert "unknown" not in [words[0] for words in program.said], program.said
        if bench.transport == "mqtt":
            assert hub.check() > 0

    bench.run(scenario)


def test_device_gets_over_hostile_bytes(bench, localhost_tls):
    play(bench, localhost_tls, int(os.getenv("HOSTILE_SEED") or 1))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 22))
def test_device_gets_over_many_hostile_bytes(bench, localhost_tls, seed):
    play(bench, localhost_tls, seed)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_parsers_get_over_many_hostile_bytes():
    environment = {**os.environ, "HOSTILE_SEED": "2", "HOSTILE_CASES": "30000"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-k", "hostile", "--timeout=300"] + ["host_tests/iothub"],
        cwd=ROOT,
        env=environment,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0
