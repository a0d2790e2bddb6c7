"""The heap that each feature holds once it is imported, and once it is used; compiled from source
by the MicroPython that runs here, whose word size stands beside the figures.

Names are interned in pools that grow by steps, so a figure may be some hundred bytes off.
"""

import tempfile

from . import programs
from .brokers import local_hub, new_device
from .programs import FIRMWARE, kib
from .rows import OURS, Row

FOLDERS = FIRMWARE, FIRMWARE / "shim"
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
    "deep sleep": (["wake"], []),
    "outbox in RAM": (["outbox"], []),
    "outbox in flash": (["journal"], []),
    "health": ([], ["health"]),
    "provisioning": (["provisioning"], []),
    "HTTP proxy": (["proxy"], []),
    "another root certificate": ([], ["trust"]),
    "azure.iot.device.aio": (["azure"], []),
    "AMQP": (["amqp"], []),
    "all of MQTT's": (["messages", "methods", "desired"], ["twin", "renew"]),
}


PLAIN = "telemetry"
IMPORTED, MORE = "ours, imported", "ours, more than telemetry alone"


async def measure(rounds, quick=False):
    """Rows of KiB in use, and once imported; they are counted, so one round is enough."""
    found = {}
    async with local_hub() as (hub, service):
        for feature, (before, after) in FEATURES.items():
            device = feature.replace(" ", "-").replace("'", "")
            sizes = await _one(hub, service, device, before, after)
            found[feature] = [size / 1024 for size in sizes]
    plain = found[PLAIN][1]
    return [
        Row(
            f"heap in use, {feature}",
            kib(),
            {OURS: [used], IMPORTED: [imported], MORE: [used - plain]},
        )
        for feature, (imported, used) in found.items()
    ]


async def _one(hub, service, device, before, after):
    front = "amqp" if "amqp" in before else "https" if "websockets" in before else "mqtt"
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            **await new_device(hub, service, device, front),
            "https_port": hub["https_port"],
            "folder": folder,
            "before": before,
            "after": after,
        }
        return await programs.result("ram", settings, folders=FOLDERS, heap="512wK", patience=30)
