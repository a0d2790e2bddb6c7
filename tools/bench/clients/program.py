"""Shared by the programs here: settings, messages, TLS, the device client, heap per call.

A program's first line of input is its settings as JSON. It prints JSON lists, which
tools/processes.py reads; its result is ["result", value].
"""

import gc
import json
import sys

settings = json.loads(sys.stdin.readline())


def say(word, *values):
    print(json.dumps([word] + list(values)))


def told():
    """Wait for the next [word, value] of the input."""
    return json.loads(sys.stdin.readline())


def authority():
    """The CA's certificate as DER, which is what MicroPython reads; the file may be PEM."""
    with open(settings["ca"], "rb") as file:
        data = file.read()
    if data.startswith(b"-----"):
        import binascii

        lines = data.split(b"-----END")[0].strip().split(b"\n")
        data = binascii.a2b_base64(b"".join(lines[1:]))
    return data


def context():
    """A TLS context that trusts the CA alone."""
    import tls

    made = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(authority())
    return made


def device_client(**options):
    """The device client of this firmware, for the settings."""
    from iothub import IoTHubDeviceClient

    return IoTHubDeviceClient.create_from_symmetric_key(
        settings["key"],
        "{host}:{port}".format(**settings),
        settings["device"],
        server_verification_cert=settings["ca"],
        **options,
    )


def allocated(function, count):
    """Bytes of heap that function(count) allocates for each of `count`, without the collector."""
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    function(count)
    used = gc.mem_alloc() - before
    gc.enable()
    gc.collect()
    return used / count
