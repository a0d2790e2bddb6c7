"""A TLS proxy before the local hub that strikes a chosen MQTT packet with a fault.

    async with device_behind_proxy(testbed, localhost_tls) as (service, device_id, program, proxy):
        proxy.fault = Cut(PUBLISH, to_hub=True, nth=3, byte=7)

The faults are in network_faults.
"""

import asyncio
import contextlib
import socket
import ssl
import struct

from host_tests.support.memory_tls import Secure
from host_tests.support.mqtt_packets import Splitter
from host_tests.support.network_faults import Hold
from tools.tcp_server import TcpServer

QUICK = {"backoff": [0.05, 0.1]}  # what a test sets, so that a device is soon back


class Connection:
    """One connection of the device, and the connection to the hub that belongs to it."""

    def __init__(self, proxy, number, device):
        self._proxy = proxy
        self._number = number
        self.device = device
        self._hub = None
        self._tasks = []
        self.mute = False  # what is read goes nowhere, and only the device can end it

    async def run(self):
        try:
            await self.device.handshake(Line(self, False, self.device.send))
            opened = asyncio.open_connection(
                "127.0.0.1", self._proxy.upstream, ssl=self._proxy.to_upstream
            )
            reader, self._hub = await opened
            self._start(_pump(self.device.read, Line(self, True, self._send_to_hub)))
            self._start(_pump(reader.read, Line(self, False, self.device.send)))
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self.mute:
                await self.device.drain()
            self.device.transport.close()
            if self._hub is not None:
                self._hub.close()

    def _start(self, coroutine):
        self._tasks.append(asyncio.create_task(coroutine))

    async def _send_to_hub(self, data):
        self._hub.write(data)
        await self._hub.drain()

    async def carry(self, line, data, packet):
        """Pass a packet on, or give it to the fault."""
        self._proxy.seen.append((self._number, line.to_hub, packet))
        if self.mute:
            return
        fault = self._proxy.fault
        if fault is None or not fault.awaits(packet, line.to_hub):
            await line.send(data)
            return
        if not fault.lasting:
            self._proxy.fault = None
        fault.size = len(data)
        fault.struck.set()
        if isinstance(fault, Hold):
            self._start(fault.strike(line, data))
        else:
            await fault.strike(line, data)

    def finish(self):
        """Send FIN to both sides."""
        self.mute = True
        self.device.transport.write_eof()
        if self._hub is not None:
            self._hub.close()

    def reset(self):
        """Send RST to both sides."""
        for one in filter(None, (self.device, self._hub)):
            linger = struct.pack("ii", 1, 0)
            sock = one.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            one.transport.abort()


class Line:
    """One direction of a Connection; send(data) passes bytes on."""

    def __init__(self, connection, to_hub, send):
        self.connection = connection
        self.to_hub = to_hub
        self.send = send

    async def carry(self, data, packet):
        await self.connection.carry(self, data, packet)


async def _pump(read, line):
    """Carry what read() gives, packet by packet, to the end of the stream."""
    splitter = Splitter()
    while data := await read(65536):
        splitter.feed(data)
        while taken := splitter.take():
            first, _, packet = taken
            await line.carry(packet, first >> 4)


class FaultProxy:
    """See the module. context: the SSLContext of connections to come. seen: the packets so far, as
    (number of the connection, to_hub, packet type).
    """

    def __init__(self, upstream, context):
        self.upstream = upstream
        self.context = context
        self.fault = None
        self.seen = []
        self._server = TcpServer(self._serve)
        self._running = set()
        self.to_upstream = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.to_upstream.check_hostname = False
        self.to_upstream.verify_mode = ssl.CERT_NONE

    @property
    def port(self):
        """The port that it listens on."""
        return self._server.port

    @property
    def connections(self):
        """The number of connections so far."""
        return self._server.attempts

    async def __aenter__(self):
        await self._server.listen()
        return self

    async def __aexit__(self, *error):
        await self._server.__aexit__(*error)

    async def _serve(self, reader, writer):
        connection = Connection(self, self.connections, Secure(reader, writer, self.context))
        self._running.add(connection)
        try:
            await connection.run()
        finally:
            self._running.discard(connection)

    def cut(self):
        """End every open connection with a FIN."""
        for connection in self._running:
            connection.finish()

    def count(self, packet, to_hub=True, connection=None):
        """The number of such packets on one connection, by default the newest."""
        return self.seen.count((connection or self.connections, to_hub, packet))

    async def listen(self):
        """Accept connections again, after stop_listening()."""
        await self._server.listen()

    def stop_listening(self):
        """Refuse new connections."""
        self._server.stop_listening()


@contextlib.asynccontextmanager
async def proxy_for_device(testbed, tls, fault=None):
    """(service, device id, its key, proxy): a FaultProxy, and a device that may connect through
    it.
    """
    async with FaultProxy(testbed.hub["mqtt_port"], tls[0]) as proxy, testbed.service() as service:
        proxy.fault = fault
        yield service, *await testbed.new_device(service), proxy


@contextlib.asynccontextmanager
async def device_behind_proxy(testbed, tls, first=None, **settings):
    """(service, device id, program, proxy) of a connected device behind a FaultProxy. With
    `first`, a fault that is there from the start, the device may not be connected yet.
    """
    async with proxy_for_device(testbed, tls, first) as (service, device_id, key, proxy):
        text = testbed.connection_string(device_id, key, port=proxy.port)
        settings = {"connection_string": text, "ca": tls[1], **QUICK, **settings}
        async with testbed.program("device", **settings) as program:
            if first is None:
                await program.expect("state", True)
            yield service, device_id, program, proxy


async def send_and_wait(program, text):
    """Let the program send a message, and wait until it is acknowledged."""
    await program.tell("send", text)
    await program.expect("sent", text)
