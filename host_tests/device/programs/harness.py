"""Shared by the programs here: settings, messages to and from the test, the client.

A program prints one JSON list a line, [word, value …]. Its input has the settings as its first
line, then the test's words. The same file runs on MicroPython and on CPython.
"""

import asyncio
import json
import sys

# Unbuffered, so that poll() knows of every line; MicroPython's is so already.
_input = sys.stdin
if sys.implementation.name == "cpython":
    _input = open(0, "rb", buffering=0)  # noqa: SIM115

if sys.implementation.name == "micropython":
    import gc

    gc.threshold(4096)  # as boot.py does: garbage must not fragment a small heap

settings = json.loads(_input.readline())


def say(word, *values):
    print(json.dumps([word] + list(values)))
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


def describe(error):
    return [type(error).__name__, getattr(error, "stage", None), getattr(error, "code", None)]


def make(**options):
    """A device or module client for the settings, with short deadlines."""
    client = _make(options)
    if "backoff" in settings:
        client._backoff = _backoff(*settings["backoff"])
    return client


def _backoff(base, cap, jitter=None):
    """A Backoff that reports its delays; jitter: what its random function always gives."""
    from iothub import retry

    class Told(retry.Backoff):
        def next(self):
            delay = super().next()
            say("wait", delay)
            return delay

    return Told(base, cap, retry.random if jitter is None else lambda: jitter)


def _make(options):
    if "ModuleId=" in settings.get("connection_string", ""):
        from iothub import IoTHubModuleClient as IoTHubDeviceClient
    else:
        from iothub import IoTHubDeviceClient

    given = {"server_verification_cert": settings["ca"], "timeout": 5, "operation_timeout": 30}
    given.update(settings.get("options", {}))
    given.update(options)
    if "will" in settings:
        from iothub import Message

        given["will"] = Message(settings["will"])
        given["will"].custom_properties = {"last": "word"}
    if "outbox" in settings:
        from iothub import Outbox

        given["outbox"] = Outbox(**settings["outbox"])
    if "proxy" in settings:
        from iothub import ProxyOptions

        given["proxy_options"] = ProxyOptions(*settings["proxy"])
    if "x509" in settings:
        from iothub import X509

        host, device_id, certificate, key = settings["x509"]
        x509 = X509(certificate, key)
        return IoTHubDeviceClient.create_from_x509_certificate(x509, host, device_id, **given)
    if "sastoken" in settings:
        return IoTHubDeviceClient.create_from_sastoken(settings["sastoken"], **given)
    return IoTHubDeviceClient.create_from_connection_string(settings["connection_string"], **given)


async def word():
    """The test's next line, read without blocking the loop for long."""
    import select

    poller = select.poll()
    poller.register(_input, select.POLLIN)
    for _ in range(3000):
        if poller.poll(0):
            return _input.readline().strip()
        await asyncio.sleep(0.01)
    raise OSError("the test said nothing for 30 s")


def run(main):
    try:
        asyncio.run(main())
    except Exception as error:
        say("raised", *describe(error))
        raise
    say("end")
