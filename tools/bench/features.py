"""Runs a program of four features (telemetry, a C2D message, the twin, a direct method) in
MicroPython against the local hub: by this firmware's client, and by umqtt.simple.
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
PROGRAMS = {OURS: "features_ours", UMQTT: "features_umqtt", TLS: "features_tls"}
DEADLINE = 20
ROOMY = "512wK"


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
        """The result of clients/feature_run.py with the program `name`. ProcessError."""
        device = f"features-{next(self._serial)}"
        ca = Path(self.hub["ca_file"])
        settings = {
            **await new_device(self.hub, self._service, device),
            "program": PROGRAMS[name],
            "der": str(ca.with_suffix(".der")),
        }
        if form == ROMFS:
            settings["romfs"] = str(self._romfs)
            heap = str(int(heap.removesuffix("wK")) * 2048 + self._romfs.stat().st_size)
        cloud = asyncio.create_task(self._cloud(device)) if name != TLS else None
        options = {"folders": self.folders[form], "heap": heap, "patience": DEADLINE}
        try:
            return await programs.result("feature_run", settings, **options)
        finally:
            if cloud is not None:
                cloud.cancel()
                await asyncio.gather(cloud, return_exceptions=True)

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
