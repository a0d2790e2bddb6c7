"""What each feature holds of the heap once it was used, and once imported, everything compiled
from source by MicroPython, in a 64-bit build and halved.

Names are interned in pools that grow by steps, so a figure may be
some hundred bytes off.
"""

import asyncio
import json
import tempfile
from pathlib import Path

from .. import umqtt
from ..files import ROOT
from ..interpreter import interpreter
from .rows import OURS, Row

PROGRAM = Path(__file__).parent / "board_ram.py"
# feature: (what the program does before, and after, it connects)
FEATURES = {
    "telemetry": ([], []),
    "messages": (["messages"], []),
    "methods": (["methods"], []),
    "desired properties": (["desired"], []),
    "twin": ([], ["twin"]),
    "renewal of the token": ([], ["renew"]),
    "WebSocket": (["websockets"], []),
    "X.509": (["x509"], []),
    "Plug and Play helpers": (["pnp"], []),
    "file upload": ([], ["upload"]),
    "sleep (wake)": (["wake"], []),
    "outbox in RAM": (["outbox"], []),
    "outbox in flash": (["journal"], []),
    "health": ([], ["health"]),
    "provisioning": (["provisioning"], []),
    "HTTP proxy": (["proxy"], []),
    "another root (trust)": ([], ["trust"]),
    "azure.iot.device.aio": (["azure"], []),
    "AMQP": (["amqp"], []),
    "all of MQTT's": (["messages", "methods", "desired"], ["twin", "renew"]),
}


PLAIN = "telemetry"
IMPORTED, MORE = "ours, imported", "ours, more than telemetry alone"


async def measure(rounds, quick=False):
    """Rows of KB after connecting, and of those after import; they are counted: once is enough."""
    from ..local_hub import running_hub
    from ..service.client import ServiceClient

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_hub(Path(folder)) as hub,
            ServiceClient.create_for_local_hub(hub) as service,
        ):
            for feature, (before, after) in FEATURES.items():
                device = await service.create_device(feature.replace(" ", "-").replace("'", ""))
                sizes = await _one(hub, folder, device, before, after)
                found[feature] = [size / 2048 for size in sizes]
    plain = found[PLAIN][1]
    return [
        Row(
            f"heap in use, {feature}",
            "KB",
            {OURS: [used], IMPORTED: [imported], MORE: [used - plain]},
        )
        for feature, (imported, used) in found.items()
    ]


async def _one(hub, folder, device, before, after):
    front = "amqp" if "amqp" in before else "https" if "websockets" in before else "mqtt"
    settings = {
        "host": f"localhost:{hub[f'{front}_port']}",
        "device": device["deviceId"],
        "key": device["authentication"]["symmetricKey"]["primaryKey"],
        "ca": hub["ca_file"],
        "https_port": hub["https_port"],
        "folder": folder,
        "before": before,
        "after": after,
    }
    firmware = ROOT / "firmware"
    process = await asyncio.create_subprocess_exec(
        interpreter(),
        "-X",
        "heapsize=512wK",
        str(PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"MICROPYPATH": f"{firmware}:{firmware / 'shim'}:{umqtt.folder()}:.frozen"},
    )
    line = json.dumps(settings).encode() + b"\n"
    out, _ = await asyncio.wait_for(process.communicate(line), 30)
    return tuple(json.loads(out.splitlines()[-1]))
