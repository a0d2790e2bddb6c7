"""A hub that owes an answer: each wait ends, with its stage, and nothing accepted is lost."""

import asyncio
import contextlib

import pytest

from tools.hub.mqtt import packets as mqtt_packets

SHORT = {"timeout": 1, "operation_timeout": 20, "keep_alive": 4}

TRANSPORTS = ("mqtt",)


class Scripted:
    """A TLS server that answers as a hub does, but for what is in `silent`."""

    def __init__(self, *silent):
        self.silent = set(silent)
        self.connections = 0
        self.published = []  # (connection, DUP, body) of telemetry

    async def serve(self, reader, writer):
        self.connections += 1
        decoder = mqtt_packets.Decoder(1 << 20)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                for packet in decoder.feed(data):
                    for name, answer in self.answers(packet):
                        if name not in self.silent:
                            writer.write(answer)
        writer.close()

    def answers(self, packet):
        if isinstance(packet, mqtt_packets.Connect):
            return [("connack", mqtt_packets.connack(0))]
        if isinstance(packet, mqtt_packets.Publish):
            return self.answers_to_publish(packet)
        if packet.kind == mqtt_packets.SUBSCRIBE:
            return [("suback", mqtt_packets.suback(packet.packet_id, [1]))]
        if packet.kind == mqtt_packets.PINGREQ:
            return [("pingresp", mqtt_packets.PINGRESP)]
        return []

    def answers_to_publish(self, packet):
        if packet.topic.startswith("$iothub/twin/GET/"):
            topic = "$iothub/twin/res/200/?" + packet.topic.partition("?")[2]
            body = b'{"desired":{"$version":1},"reported":{"$version":1}}'
            return [("twin", mqtt_packets.publish(topic, body))]
        self.published.append((self.connections, packet.dup, packet.body))
        return [("puback", mqtt_packets.puback(packet.packet_id))]


@contextlib.asynccontextmanager
async def device_of(bench, hub, tls, **options):
    """programs/device.py against a scripted hub."""
    context, ca = tls
    server = await asyncio.start_server(hub.serve, "127.0.0.1", 0, ssl=context)
    async with server:
        cs = bench.connection_string("any", "AAAA", port=server.sockets[0].getsockname()[1])
        settings = {"connection_string": cs, "ca": ca, "options": {**SHORT, **options}}
        async with bench.program("device", **settings) as program:
            yield program


def test_missing_suback(bench, localhost_tls):
    async def scenario():
        async with device_of(bench, Scripted("suback"), localhost_tls) as program:
            assert await program.expect("raised") == ["OperationTimeout", "subscribe", None]

    bench.run(scenario)


def test_missing_puback_ends_the_connection_and_the_message_is_sent_again(bench, localhost_tls):
    async def scenario():
        hub = Scripted("puback")
        async with device_of(bench, hub, localhost_tls) as program:
            await program.expect("ready")
            await program.tell("send", "one")
            assert await program.expect("background") == ["OperationTimeout", "puback", None]
            hub.silent.clear()
            await program.expect("sent", "one")
        assert hub.published[0] == (1, False, b"one")
        assert hub.published[-1][1:] == (True, b"one")

    bench.run(scenario)


def test_message_that_is_never_acknowledged_is_given_up(bench, localhost_tls):
    async def scenario():
        hub = Scripted("puback")
        async with device_of(bench, hub, localhost_tls, operation_timeout=3) as program:
            await program.expect("ready")
            await program.tell("send", "one")
            assert await program.expect("error") == ["OperationTimeout", "puback", None]

    bench.run(scenario)


def test_disconnect_waits_for_no_message_that_was_given_up(bench, localhost_tls):
    async def scenario():
        async with device_of(bench, Scripted("puback"), localhost_tls) as program:
            await program.expect("ready")
            await program.tell("send and give up", "one")
            await program.expect("sent")
            await program.tell("disconnect")
            await program.expect("disconnected")
            await program.tell("end")
            await program.expect("end")
        assert not [words for words in program.said if words[0] == "background"]

    bench.run(scenario)


def test_missing_pingresp_ends_the_connection(bench, localhost_tls):
    async def scenario():
        hub = Scripted("pingresp")
        async with device_of(bench, hub, localhost_tls) as program:
            await program.expect("ready")
            assert await program.expect("background") == ["OperationTimeout", "ping", None]
            await program.expect("state", True)
        assert hub.connections == 2

    bench.run(scenario)


def test_answered_pings_keep_the_connection(bench, localhost_tls):
    async def scenario():
        hub = Scripted()
        async with device_of(bench, hub, localhost_tls, keep_alive=1) as program:
            await program.expect("ready")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(program.expect("state", False), 4)
        assert hub.connections == 1

    bench.run(scenario)


def test_missing_twin_answer(bench, localhost_tls):
    async def scenario():
        hub = Scripted()
        async with device_of(bench, hub, localhost_tls) as program:
            await program.expect("ready")
            hub.silent.add("twin")
            await program.tell("twin")
            assert await program.expect("error") == ["OperationTimeout", "twin", None]
            await program.tell("send", "still here")
            await program.expect("sent", "still here")

    bench.run(scenario)
