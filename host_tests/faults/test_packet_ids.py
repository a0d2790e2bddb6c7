"""Packet ids over 70,000 messages, one of which the hub is slow to acknowledge."""

import asyncio
import contextlib

from tools.hub.mqtt import packets as mqtt_packets

TRANSPORTS = ("mqtt",)
COUNT = 70_000
SLOW = 5  # the id whose PUBACK comes when the others have wrapped
LATE = 65_535 + 100  # messages before it does


class Broker:
    """It accepts all, notes the packet ids, and acknowledges each at once but the slow one."""

    def __init__(self):
        self.ids = []

    async def serve(self, reader, writer):
        decoder = mqtt_packets.Decoder(1 << 20)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.writelines(map(self.answer, decoder.feed(data)))
        writer.close()

    def answer(self, packet):
        if isinstance(packet, mqtt_packets.Connect):
            return mqtt_packets.connack(0)
        if not isinstance(packet, mqtt_packets.Publish):
            return b""
        self.ids.append(packet.packet_id)
        if packet.packet_id == SLOW and len(self.ids) == SLOW:
            return b""
        answer = mqtt_packets.puback(packet.packet_id)
        return mqtt_packets.puback(SLOW) + answer if len(self.ids) == LATE else answer


def test_ids_wrap_past_0_and_past_one_in_flight(bench, localhost_tls):
    async def scenario():
        broker = Broker()
        context, ca = localhost_tls
        server = await asyncio.start_server(broker.serve, "127.0.0.1", 0, ssl=context)
        async with server:
            text = bench.connection_string("any", "AAAA", port=server.sockets[0].getsockname()[1])
            options = {"timeout": 100, "operation_timeout": 100}
            settings = {"connection_string": text, "ca": ca, "options": options, "count": COUNT}
            async with bench.program("many", **settings) as program:
                assert await program.expect("sent") == [COUNT, 1]
        twice = [*range(1, 65536), *range(1, SLOW), *range(SLOW + 1, 65536)]
        assert broker.ids == twice[:COUNT]

    bench.run(scenario)
