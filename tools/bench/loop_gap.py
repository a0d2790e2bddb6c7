"""The longest time that the device client keeps asyncio's loop from other tasks: while it
connects, and while it sends and receives 64 KB.
"""

import asyncio
import contextlib

from . import programs
from .brokers import local_hub, new_device
from .rows import OURS, Goal, Row

SIZE = 64 * 1024
HEAP = "256wK"  # a board's, with room for the message
STAGES = {
    "connect": "the longest that other tasks wait while it connects",
    "handshake": "… while TLS computes its handshake",
    "send": "… while 64 KB go out",
    "receive": "… while 64 KB come in",
}
GOAL = Goal(20, slack=3)
NOTE = "of this machine's time; a board's processor is slower"


async def measure(rounds, quick=False):
    """Rows of ms; the handshake has no goal, for the TLS library does it."""
    longest = {stage: [] for stage in STAGES}
    async with local_hub() as (hub, service):
        for number in range(rounds):
            found = await _one(hub, service, f"gap-{number}")
            for stage, values in longest.items():
                values.append(found[stage] / 1000)
    return [
        Row(what, "ms", {OURS: longest[stage]}, () if stage == "handshake" else (GOAL,), NOTE)
        for stage, what in STAGES.items()
    ]


async def _one(hub, service, device):
    settings = {**await new_device(hub, service, device), "size": SIZE}
    cloud = asyncio.create_task(_answer(service, device))
    try:
        return await programs.result("loop_gap", settings, heap=HEAP)
    finally:
        cloud.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await cloud


async def _answer(service, device):
    """Send 64 KB to the device once it is ready."""
    async for event in service.local.telemetry(device):
        if event["body"] == b"ready":
            break
    await service.send_c2d_message(device, bytes(SIZE))
