"""What each feature costs of a board's heap, after import and after connecting, in MicroPython.

Measured on this machine's 64-bit build, everything compiled from source on the board; a 32-bit
board takes about half, and that is what is shown. Names are interned in pools that grow by steps,
so a figure may be some hundred bytes off.
"""

import asyncio
import json
import tempfile
from pathlib import Path

from tools import umqtt
from tools.interpreter import ROOT, interpreter

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
    "provisioning": (["provisioning"], []),
    "HTTP proxy": (["proxy"], []),
    "another root (trust)": ([], ["trust"]),
    "azure.iot.device.aio": (["azure"], []),
    "AMQP": (["amqp"], []),
    "all of MQTT's": (["messages", "methods", "desired"], ["twin", "renew"]),
}


async def measure():
    """{feature: (bytes after import, bytes after connecting)} on this machine."""
    from tools.demo import running_hub
    from tools.hub.client import ServiceClient

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_hub(Path(folder)) as hub,
            ServiceClient(hub["service_connection_string"], hub["ca_file"]) as service,
        ):
            for feature, (before, after) in FEATURES.items():
                device = await service.create_device(feature.replace(" ", "-").replace("'", ""))
                found[feature] = await _one(hub, device, before, after)
    return found


async def _one(hub, device, before, after):
    front = "amqp" if "amqp" in before else "https" if "websockets" in before else "mqtt"
    settings = {
        "host": f"localhost:{hub[f'{front}_port']}",
        "device": device["deviceId"],
        "key": device["authentication"]["symmetricKey"]["primaryKey"],
        "ca": hub["ca_file"],
        "https_port": hub["https_port"],
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


def show(found):
    from rich.console import Console
    from rich.table import Table

    table = Table("feature", "after import", "after connect and use", "more than telemetry alone")
    plain = found["telemetry"][1]
    for feature, (imported, connected) in found.items():
        sizes = imported, connected, connected - plain
        table.add_row(feature, *(f"{size / 2048:,.1f} KB" for size in sizes))
    Console().print(table)
