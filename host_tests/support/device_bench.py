"""Programs of the device library in MicroPython and in CPython, against a local hub."""

import asyncio
import contextlib
import itertools
import os
import sys

from tools import umqtt
from tools.files import ROOT
from tools.interpreter import interpreter
from tools.processes import running
from tools.service.client import ServiceClient

PROGRAMS = ROOT / "host_tests" / "device" / "programs"
PATIENCE = 40
_SERIAL = itertools.count(1)  # one hub may see several benches
HEAPS = {"mqtt": "128wK", "amqp": "160wK"}  # AMQP's code takes some more


class Bench:
    """One interpreter, one transport, one hub: what a test asks for."""

    def __init__(self, name, transport, hub):
        self.name = name
        self.transport, _, self.websockets = transport.partition("-")
        self.hub = hub

    def connection_string(self, device_id, key, host="localhost", port=None):
        front = "https" if self.websockets else self.transport
        port = port or self.hub[f"{front}_port"]
        return f"HostName={host}:{port};DeviceId={device_id};SharedAccessKey={key}"

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
            command = [interpreter(), "-X", f"heapsize={heap}"]
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

    async def waiting(self, service, device_id, count):
        """Return once `count` messages wait at the hub: the others have been settled."""

        async def left():
            return (await service.get_device(device_id))["cloudToDeviceMessageCount"]

        while await left() != count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def run(self, scenario):
        """Run a coroutine function within the time a test may take."""
        asyncio.run(asyncio.wait_for(scenario(), 100))
