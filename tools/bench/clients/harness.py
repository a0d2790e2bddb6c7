"""What the clients here share: their settings, TLS that verifies, and the two measured passes.

A client program reads one line of JSON and prints one, its last; tools/bench/telemetry.py
writes the one and reads the other.
"""

import binascii
import gc
import json
import sys
import time

import tls

FEW = 200  # messages sent without the collector, unless settings say: they must fit in the heap
PASSES = 5

settings = json.loads(sys.stdin.readline())
topic = settings["topic"]
device = topic.split("/")[1]  # the client id of each, as IoT Hub wants it
payload = b"x" * settings["payload"]


def authority():
    """The CA's certificate as DER, which is all this MicroPython reads; the file may be PEM."""
    with open(settings["ca"], "rb") as file:
        data = file.read()
    if data.startswith(b"-----"):
        lines = data.split(b"-----END")[0].strip().split(b"\n")
        data = binascii.a2b_base64(b"".join(lines[1:]))
    return data


def context():
    """TLS which refuses a server that the CA did not vouch for."""
    made = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(authority())
    return made


def allocated(send, count):
    """Bytes of heap that `send(count)` allocates per message, with the collector disabled."""
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    send(count)
    used = gc.mem_alloc() - before
    gc.enable()
    gc.collect()
    return used / count


def bursts(send):
    """Say when ready for a burst, and send as many messages as the answer says, until it is 0."""
    while True:
        print(json.dumps("ready"))
        count = int(sys.stdin.readline())
        if not count:
            return
        send(count)


def measure(send):
    """Print what `send(count)`, which returns once all PUBACKs are there, takes and allocates.

    With "allocated": false among the settings it is sent once, which matters where it takes long.
    With "bursts": true nothing is measured here, see bursts().
    """
    if settings.get("bursts"):
        bursts(send)
        return
    count = settings["count"]
    least = None
    if settings.get("allocated", True):
        few = min(count, settings.get("few", FEW))
        # A client that asks in vain while it waits allocates for that, too: the least is its own.
        least = min([allocated(send, few) for _ in range(PASSES)])
    gc.collect()
    start = time.ticks_us()
    send(count)
    seconds = time.ticks_diff(time.ticks_us(), start) / 1e6
    print(json.dumps({"seconds": seconds, "allocated": least, "count": count}))
