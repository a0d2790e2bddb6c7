"""Runs programs in MicroPython against the local hub: one of four features (telemetry, a C2D
message, the twin, a direct method) by this firmware's client, and by umqtt.simple; and one that
sends a single message, over MQTT and over AMQP.
"""

import asyncio
import contextlib
import itertools
import tempfile
from pathlib import Path

from ..deploy import frozen, image
from . import programs
from .brokers import local_hub, new_device
from .programs import CLIENTS, FIRMWARE
from .rows import OURS

ROMFS = ".mpy in ROMFS"
UMQTT = "umqtt.simple, by hand"
TLS = "TLS alone"
TELEMETRY = "telemetry alone"
AMQP = "telemetry over AMQP"
PROGRAMS = {
    OURS: "features_ours",
    UMQTT: "features_umqtt",
    TLS: "features_tls",
    TELEMETRY: "features_telemetry",
    AMQP: "features_telemetry",
}
DEADLINE = 20
ROOMY = 1024 * 1024


class Bench:
    """A hub, and the folders to import from: the sources, or all of them compiled; or a ROMFS
    image. A board has the image in its flash, so its size comes on top of the given heap.
    """

    def __init__(self, hub, service, compiled, romfs):
        self.hub = hub
        self._service = service
        self.folders = {"source": [CLIENTS, FIRMWARE], ".mpy": [compiled], ROMFS: []}
        self._romfs = romfs
        self._serial = itertools.count(1)

    async def run(self, name, form="source", heap=ROOMY):
        """What clients/feature_run.py prints of program `name`. heap: bytes. ProcessError."""
        device = f"features-{next(self._serial)}"
        ca = Path(self.hub["ca_file"])
        settings = {
            **await new_device(
                self.hub, self._service, device, "amqp" if name == AMQP else "mqtt"
            ),
            "program": PROGRAMS[name],
            "transport": "amqp" if name == AMQP else "mqtt",
            "der": str(ca.with_suffix(".der")),
        }
        if form == ROMFS:
            settings["romfs"] = str(self._romfs)
            heap += self._romfs.stat().st_size
        cloud = asyncio.create_task(self._cloud(device)) if name in (OURS, UMQTT) else None
        options = {"folders": self.folders[form], "heap": str(heap), "patience": DEADLINE}
        try:
            return await programs.result("feature_run", settings, **options)
        finally:
            if cloud is not None:
                cloud.cancel()
                await asyncio.gather(cloud, return_exceptions=True)

    async def parts(self, modules):
        """The result of clients/heap_parts.py for these modules, compiled, and with it the lines
        of the heap's maps "before" and "used". ProcessError.
        """
        settings = {
            **await new_device(self.hub, self._service, f"parts-{next(self._serial)}"),
            "program": PROGRAMS[TELEMETRY],
            "transport": "mqtt",
            "modules": modules,
        }
        options = {"folders": self.folders[".mpy"], "heap": str(ROOMY), "patience": DEADLINE}
        maps, name = {}, None
        async with programs.client("heap_parts", settings, **options) as program:
            found = await program.result()
            for words in program.said:
                if words[0] == "heap":
                    name = words[1]
                elif name is not None and words[1:] == []:
                    maps.setdefault(name, []).append(words[0])
        return {**found, **maps}

    async def _cloud(self, device):
        """The service's part: a C2D message and a direct method."""
        await self._service.send_c2d_message(device, b"hello", properties={"level": "warm"})
        await self._service.invoke_method(device, "echo", {"a": [1, 2]})


@contextlib.asynccontextmanager
async def bench():
    """A Bench with a hub of its own."""
    with tempfile.TemporaryDirectory() as compiled:
        romfs = Path(compiled) / "image.romfs"
        romfs.write_bytes(write_compiled(Path(compiled)))
        async with local_hub() as (hub, service):
            yield Bench(hub, service, Path(compiled), romfs)


def write_compiled(folder):
    """The library, umqtt.simple and the programs as .mpy files; the same as a ROMFS image."""
    programs = {f"/lib/{name}": CLIENTS / f"{name}.py" for name in PROGRAMS.values()}
    files = {**image.compiled({**image.sources(), **programs}), **image.umqtt_simple()}
    for name, data in files.items():
        path = folder / name.removeprefix("/lib/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return frozen.romfs_of(files)
