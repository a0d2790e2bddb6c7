"""Runs programs of the device library, in MicroPython or CPython, against a hub."""

import asyncio
import contextlib
import itertools
import os
import sys

from tools import umqtt
from tools.bench.simulated_network import SimulatedNetwork
from tools.files import ROOT
from tools.interpreter import interpreter
from tools.processes import running
from tools.service.client import ServiceClient
from tools.tcp_server import TcpServer

from .heaps import heap_option

PROGRAMS = ROOT / "host_tests" / "device" / "programs"
PATIENCE = 40
_SERIAL = itertools.count(1)  # one hub may see several testbeds
SHORT = {"timeout": 1, "operation_timeout": 20, "keep_alive": 4}
HEAPS = {"mqtt": "128wK", "amqp": "160wK"}  # AMQP's code takes some more


class DeviceTestbed:
    """Runs programs of the device library in one interpreter, over one transport, on one hub."""

    def __init__(self, name, transport, hub):
        self.name = name
        self.transport, _, self.websockets = transport.partition("-")
        self.hub = hub

    @property
    def port(self):
        """The hub's port for this transport."""
        return self.hub["https_port" if self.websockets else f"{self.transport}_port"]

    def connection_string(self, device_id, key, host="localhost", port=None):
        return f"HostName={host}:{port or self.port};DeviceId={device_id};SharedAccessKey={key}"

    @contextlib.asynccontextmanager
    async def service(self):
        async with ServiceClient.create_for_local_hub(self.hub) as service:
            yield service

    @contextlib.asynccontextmanager
    async def program(self, name, **settings):
        """Run programs/name.py: a Process. "ca" of its settings is the hub's CA by default."""
        settings = {"ca": self.hub["ca_file"], **settings}
        chosen = {"transport": self.transport, "websockets": bool(self.websockets)}
        settings["options"] = {**chosen, **settings.get("options", {})}
        firmware = str(settings.pop("lib", ROOT / "firmware"))
        if self.name == "micropython":
            heap = settings.get("heap") or HEAPS[self.transport]
            command = [interpreter(), *heap_option(heap)]
            paths = [firmware, str(PROGRAMS), str(umqtt.folder()), ".frozen"]
            environment = {**os.environ, "MICROPYPATH": ":".join(paths)}
        else:
            command = [sys.executable, "-u"]
            environment = {**os.environ, "PYTHONPATH": f"{firmware}:{PROGRAMS}"}
        command.append(str(PROGRAMS / f"{name}.py"))
        async with running(command, settings, environment) as program:
            yield program

    async def new_device(self, service, **fields):
        """(device id, key) of a device that no other test has."""
        device_id = f"{self.name}-{self.transport}{self.websockets}-{next(_SERIAL)}"
        device = await service.create_device(device_id, **fields)
        return device_id, device["authentication"]["symmetricKey"]["primaryKey"]

    @contextlib.asynccontextmanager
    async def device(self, **settings):
        """(service, device id, program) of a new device with programs/device.py, connected."""
        async with self.service() as service:
            device_id, key = await self.new_device(service)
            cs = self.connection_string(device_id, key)
            async with self.program("device", connection_string=cs, **settings) as program:
                await program.expect("ready")
                yield service, device_id, program

    @contextlib.asynccontextmanager
    async def device_behind_network(self, **settings):
        """As device(), and the SimulatedNetwork between the device and the hub."""
        async with SimulatedNetwork(self.port) as network, self.service() as service:
            device_id, key = await self.new_device(service)
            cs = self.connection_string(device_id, key, port=network.port)
            async with self.program("device", connection_string=cs, **settings) as program:
                await program.expect("ready")
                yield service, device_id, program, network

    @contextlib.asynccontextmanager
    async def program_on(self, server, tls, name="device", options=None, **settings):
        """Run programs/name.py against a scripted server; tls: (SSLContext, the CA's file)."""
        context, ca = tls
        options = {**SHORT, **(options or {})}
        async with TcpServer(server.serve, context) as listening:
            text = self.connection_string("any", "AAAA", port=listening.port)
            settings = {"connection_string": text, "ca": ca, "options": options, **settings}
            async with self.program(name, **settings) as program:
                yield program

    def device_on(self, server, tls, **options):
        """Run programs/device.py with these options of the client against a scripted server."""
        return self.program_on(server, tls, options=options)

    async def waiting(self, service, device_id, count):
        """Wait until `count` messages are in the device's queue: the others have been settled."""

        async def left():
            return (await service.get_device(device_id))["cloudToDeviceMessageCount"]

        while await left() != count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def run(self, scenario):
        """Run a coroutine function, within a deadline."""
        asyncio.run(asyncio.wait_for(scenario(), 100))
