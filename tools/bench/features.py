"""One program that uses all four features (telemetry, a message from the hub, the twin, a
method), on MicroPython against the local hub: by this firmware's client, and by what is measured
beside it.
"""

import asyncio
import contextlib
import itertools
import tempfile
from pathlib import Path

from ..deploy import frozen, image
from ..files import ROOT
from .programs import CLIENTS, ClientError, run
from .rows import OURS

ROMFS = ".mpy in ROMFS"
UMQTT = "umqtt.simple, by hand"
TLS = "TLS alone"
PROGRAMS = {OURS: "features_ours", UMQTT: "features_umqtt", TLS: "features_tls"}
DEADLINE = 20
ROOMY = "512wK"


class Bench:
    """A hub, and the folders to import from: the sources, or all of them compiled; or a ROMFS
    image, which a board has in its flash: its size comes on top of the heap that is asked for.
    """

    def __init__(self, hub, service, compiled, romfs):
        self.hub = hub
        self._service = service
        self.folders = {"source": [CLIENTS, ROOT / "firmware"], ".mpy": [compiled], ROMFS: []}
        self._romfs = romfs
        self._serial = itertools.count(1)

    async def run(self, name, form="source", heap=ROOMY):
        """What clients/feature_run.py prints of the program `name`. ClientError."""
        made = await self._service.create_device(f"features-{next(self._serial)}")
        device = made["deviceId"]
        ca = Path(self.hub["ca_file"])
        settings = {
            "program": PROGRAMS[name],
            "host": "localhost",
            "port": self.hub["mqtt_port"],
            "ca": str(ca),
            "der": str(ca.with_suffix(".der")),
            "device": device,
            "key": made["authentication"]["symmetricKey"]["primaryKey"],
        }
        if form == ROMFS:
            settings["romfs"] = str(self._romfs)
            heap = str(int(heap.removesuffix("wK")) * 2048 + self._romfs.stat().st_size)
        cloud = asyncio.create_task(self._cloud(device)) if name != TLS else None
        program = run(CLIENTS / "feature_run.py", settings, self.folders[form], heap)
        try:
            return await asyncio.wait_for(program, DEADLINE)
        except asyncio.TimeoutError:
            raise ClientError(f"{PROGRAMS[name]} was not done after {DEADLINE} s") from None
        finally:
            if cloud is not None:
                cloud.cancel()
                await asyncio.gather(cloud, return_exceptions=True)

    async def _cloud(self, device):
        """What the service does meanwhile."""
        await self._service.send_c2d_message(device, b"hello", properties={"level": "warm"})
        await self._service.invoke_method(device, "echo", {"a": [1, 2]})


@contextlib.asynccontextmanager
async def bench():
    """A Bench with a hub of its own."""
    from ..local_hub import running_hub
    from ..service.client import ServiceClient

    with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as compiled:
        romfs = Path(data) / "image.romfs"
        romfs.write_bytes(write_compiled(Path(compiled)))
        async with (
            running_hub(Path(data)) as hub,
            ServiceClient.create_for_local_hub(hub) as service,
        ):
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
