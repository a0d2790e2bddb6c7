"""A peer that dribbles: each front gives it a deadline, however many bytes come."""

import asyncio
import ssl

import pytest

from iothub.amqp.frames import AMQP_HEADER, HEARTBEAT, SASL_HEADER
from tools.hub import listener
from tools.hub.amqp import connection as amqp_connection
from tools.hub.mqtt import connection as mqtt_connection
from tools.hub.rest import server as rest_server

PATIENCE = 20
CONNECT = b"\x10\xff\xff\x03"  # 65,535 bytes follow
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # 508 bytes follow
REQUEST = b"GET /$iothub/websocket HTTP/1.1\r\nX-Header: "
UPGRADE = (
    "GET /$iothub/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {}\r\n\r\n"
)


def frame(data):
    """A client's binary WebSocket frame, under a mask of zeros."""
    return b"\x82" + bytes((0x80 | len(data),)) + bytes(4) + data


# name: (port, whether TLS is done, what comes first, what comes again and again)
DRIBBLES = {
    "CONNECT": ("mqtt", True, CONNECT, b"x"),
    "SASL frame": ("amqp_plain", False, SASL_HEADER + b"\0\0\x7f\xff\2\1\0\0", b"x"),
    "heartbeats": ("amqp_plain", False, AMQP_HEADER, HEARTBEAT),
    "open": ("amqp", True, AMQP_HEADER + b"\0\0\x7f\xff\2\0\0\0", b"x"),
    "request": ("https", True, REQUEST, b"x"),
    "CONNECT in frames": (
        "https",
        True,
        UPGRADE.format("mqtt").encode() + frame(CONNECT),
        frame(b"x"),
    ),
    "heartbeats in frames": (
        "https",
        True,
        UPGRADE.format("AMQPWSB10").encode() + frame(AMQP_HEADER),
        frame(HEARTBEAT),
    ),
    "frame": ("https", True, UPGRADE.format("mqtt").encode() + b"\x82\xfe\x7f\xff\0\0\0\0", b"x"),
    "TLS before MQTT": ("mqtt", False, CLIENT_HELLO, b"\0"),
    "TLS before AMQP": ("amqp", False, CLIENT_HELLO, b"\0"),
    "TLS before HTTPS": ("https", False, CLIENT_HELLO, b"\0"),
}


async def cut_off(ports, name, tls, first, piece):
    """Wait until the hub ends a connection on which `piece` comes again and again."""
    context = ssl.create_default_context(cafile=ports["ca_file"]) if tls else None
    opened = asyncio.open_connection("localhost", ports[f"{name}_port"], ssl=context)
    reader, writer = await asyncio.wait_for(opened, PATIENCE)

    async def dribble():
        writer.write(first)
        while True:
            writer.write(piece)
            await asyncio.sleep(0.02)

    async def end():
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass

    dribbling = asyncio.create_task(dribble())
    try:
        await asyncio.wait_for(end(), PATIENCE)
    finally:
        dribbling.cancel()
        writer.transport.abort()


@pytest.mark.parametrize("name", DRIBBLES)
def test_peer_that_dribbles_is_cut_off(on_hub, monkeypatch, name):
    monkeypatch.setattr(mqtt_connection, "CONNECT_TIMEOUT", 0.5)
    monkeypatch.setattr(amqp_connection, "OPEN_TIMEOUT", 0.5)
    monkeypatch.setattr(rest_server, "REQUEST_TIMEOUT", 0.5)
    monkeypatch.setattr(listener, "HANDSHAKE_TIMEOUT", 0.5)
    monkeypatch.setattr(asyncio.constants, "SSL_HANDSHAKE_TIMEOUT", 0.5)  # HTTPS: a minute

    async def scenario(testbed):
        await cut_off(testbed.hub.ports, *DRIBBLES[name])

    on_hub(scenario)


def test_deadline_of_connect_ends_with_it(on_hub, monkeypatch):
    monkeypatch.setattr(mqtt_connection, "CONNECT_TIMEOUT", 0.5)

    async def scenario(testbed):
        device, _ = await testbed.device("dev", await testbed.new())
        await cut_off(testbed.hub.ports, *DRIBBLES["CONNECT"])  # which takes as long
        device.send(b"\xc0\0")
        assert await device.packet() == (0xD0, b"")

    on_hub(scenario)
