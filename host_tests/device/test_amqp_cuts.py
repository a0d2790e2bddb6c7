"""AMQP connections cut at each frame boundary in turn: no hang, no lost message."""

import asyncio
import contextlib

import pytest

from iothub import IoTHubDeviceClient, Message
from iothub.amqp.frames import FrameDecoder
from iothub.errors import TransportError
from iothub_service.client import IoTHubServiceClient
from tools.service.client import ServiceClient
from tools.tcp_server import TcpServer

COUNT = 4  # messages that each device sends


class Proxy:
    """TLS before the hub's plain port; the first connection is cut after `limit` frames."""

    def __init__(self, upstream, limit):
        self._upstream = upstream
        self._limit = limit
        self.frames = 0
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        first = self.connections == 1
        up_reader, up_writer = await asyncio.open_connection("localhost", self._upstream)
        pumps = [
            asyncio.create_task(self._pump(reader, up_writer, first)),
            asyncio.create_task(self._pump(up_reader, writer, first)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        for one in (writer, up_writer):
            one.transport.abort()

    async def _pump(self, reader, writer, counted):
        """Pass on frame by frame (or header by header), up to the limit."""
        decoder, pending = FrameDecoder(1 << 20), bytearray()
        while data := await reader.read(65536):
            decoder.feed(data)
            pending += data
            while (size := _step(decoder, pending)) is not None:
                if counted and self.frames >= self._limit:
                    return
                self.frames += counted
                writer.write(bytes(pending[:size]))
                del pending[:size]


def _step(decoder, pending):
    """The size of the next header or frame, or None while it is incomplete."""
    if pending[:4] == b"AMQP":
        return 8 if len(pending) >= 8 and decoder.take_header() else None
    return int.from_bytes(pending[:4], "big") if decoder.take() else None


@contextlib.asynccontextmanager
async def proxied(hub, localhost_tls, limit):
    """(Proxy, port) of a proxy that cuts after `limit` frames."""
    proxy = Proxy(hub["amqp_plain_port"], limit)
    async with TcpServer(proxy.serve, localhost_tls[0]) as server:
        yield proxy, server.port


async def live(hub, localhost_tls, service, limit):
    """Use all features of a device through a connection that is cut: the number of frames."""
    device_id = f"cut-{limit}"
    made = await service.create_device(device_id)
    key = made["authentication"]["symmetricKey"]["primaryKey"]
    await service.send_c2d_message(device_id, b"waits", ack="full", message_id=device_id)
    async with proxied(hub, localhost_tls, limit) as (proxy, port):
        client = IoTHubDeviceClient.create_from_connection_string(
            f"HostName=localhost:{port};DeviceId={device_id};SharedAccessKey={key}",
            transport="amqp", server_verification_cert=localhost_tls[1], timeout=3,
        )  # fmt: skip
        got = asyncio.Queue()
        client.on_message_received = lambda message: got.put_nowait(message.data)
        client.on_twin_desired_properties_patch_received = lambda patch: None
        client.on_background_exception = lambda error: None
        while not client.connected:
            with contextlib.suppress(TransportError):
                await client.connect()
        for number in range(COUNT):
            await client.send_message(Message(f"{number}"))
        await client.patch_twin_reported_properties({"limit": limit})
        assert await asyncio.wait_for(got.get(), 30) == b"waits"
        while (await service.get_device(device_id))["cloudToDeviceMessageCount"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await client.shutdown()
        events = [event["body"] for event in await service.local.stored_events(device_id)]
        arrived = [body for body in events if body.isdigit()]
        assert list(dict.fromkeys(arrived)) == [b"%d" % number for number in range(COUNT)]
        assert len(arrived) <= COUNT + 1  # one may have been on its way
        twin = await service.get_twin(device_id)
        assert twin["properties"]["reported"]["limit"] == limit
        return proxy.frames


@pytest.mark.timeout(200)
def test_device_survives_a_cut_at_every_frame(hub, localhost_tls):
    async def scenario():
        async with ServiceClient.create_for_local_hub(hub) as service:
            whole = await live(hub, localhost_tls, service, 10000)
            assert whole > 30
            for start in range(0, whole + 1, 8):
                limits = range(start, min(start + 8, whole + 1))
                await asyncio.gather(
                    *(live(hub, localhost_tls, service, limit) for limit in limits)
                )

    asyncio.run(asyncio.wait_for(scenario(), 180))


async def follow(hub, localhost_tls, service, limit, device_id):
    """Read a device's events through a connection that is cut: the number of frames."""
    key = hub["service_connection_string"].partition("SharedAccessKey=")[2]
    async with proxied(hub, localhost_tls, limit) as (proxy, port):
        client = IoTHubServiceClient.create_from_connection_string(
            f"HostName=localhost:{port};SharedAccessKeyName=service;SharedAccessKey={key}",
            server_verification_cert=localhost_tls[1], timeout=3,
        )  # fmt: skip
        client.on_background_exception = lambda error: None
        message = Message(b"x", message_id=f"{device_id}-{limit}")
        while True:
            try:
                await client.send_c2d_message(device_id, message)
                break
            except TransportError:
                pass
        await service.purge_c2d_messages(device_id)
        await client.close()
        return proxy.frames


@pytest.mark.timeout(200)
def test_service_client_survives_a_cut_at_every_frame(hub, localhost_tls):
    async def scenario():
        async with ServiceClient.create_for_local_hub(hub) as service:
            await service.create_device("cut-service")
            whole = await follow(hub, localhost_tls, service, 10000, "cut-service")
            for limit in range(whole + 1):
                await follow(hub, localhost_tls, service, limit, "cut-service")

    asyncio.run(asyncio.wait_for(scenario(), 180))
