"""Shared by the telemetry clients: topic, device, payload, and the measured passes.

Each client calls measure(send), where send(count) sends so many messages and returns once all of
them are acknowledged.
"""

import gc
import time

from program import allocated, say, settings, told

FEW = 200  # messages sent without the collector, unless settings say: they must fit in the heap
PASSES = 5

topic = settings["topic"]
device = settings["device"]  # the client id, as IoT Hub wants it
payload = b"x" * settings["payload"]


def measure(send):
    """Measure the time and the heap that `send` takes, or with "bursts": true send bursts.

    With "allocated": false the messages are sent only once, for clients that take long.
    """
    if settings.get("bursts"):
        bursts(send)
        return
    count = settings["count"]
    least = None
    if settings.get("allocated", True):
        few = min(count, settings.get("few", FEW))
        # A client that polls while it waits allocates for that, too: the least is its own.
        least = min([allocated(send, few) for _ in range(PASSES)])
    gc.collect()
    start = time.ticks_us()
    send(count)
    seconds = time.ticks_diff(time.ticks_us(), start) / 1e6
    say("result", {"seconds": seconds, "allocated": least, "count": count})


def bursts(send):
    """Send bursts: say that it is ready, send as many messages as it is told, and so on."""
    while True:
        say("ready")
        _, count = told()
        send(count)
