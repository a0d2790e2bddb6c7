"""Packet ids over 70,000 messages, one of which is acknowledged late."""

from host_tests.support import mqtt_packets
from host_tests.support.scripted_mqtt_server import ScriptedMqttServer

TRANSPORTS = ("mqtt",)
COUNT = 70_000
SLOW = 5  # the id whose PUBACK comes when the others have wrapped
LATE = 65_535 + 100  # messages before it does


class SlowToAcknowledge:
    """Notes the packet ids that a server acknowledges, and delays the PUBACK of one."""

    def __init__(self):
        self.ids = []

    def __call__(self, puback, connection):
        self.ids.append(int.from_bytes(puback[2:], "big"))
        if self.ids[-1] == SLOW and len(self.ids) == SLOW:
            return b""
        return mqtt_packets.puback(SLOW) + puback if len(self.ids) == LATE else puback


def test_packet_ids_wrap_and_skip_0_and_ids_in_flight(testbed, localhost_tls):
    async def scenario():
        acknowledge = SlowToAcknowledge()
        server = ScriptedMqttServer(instead={"puback": acknowledge})
        options = {"timeout": 100, "operation_timeout": 100, "keep_alive": 60}
        running = testbed.program_on(server, localhost_tls, "many", options, count=COUNT)
        async with running as program:
            assert await program.expect("sent") == [COUNT, 1]
        twice = [*range(1, 65536), *range(1, SLOW), *range(SLOW + 1, 65536)]
        assert acknowledge.ids == twice[:COUNT]

    testbed.run(scenario)
