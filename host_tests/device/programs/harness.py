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


def set_resolver(known):
    """From now on names resolve as {name: [addresses]} says, in that order; the others as ever."""
    import socket

    real = socket.getaddrinfo

    def getaddrinfo(host, *arguments, **options):
        found = []
        for address in known.get(host, [host]):
            found.extend(real(address, *arguments, **options))
        return found

    if sys.implementation.name == "cpython":
        socket.getaddrinfo = getaddrinfo
    else:
        # The module is in ROM: what is imported later finds this class in its place.
        named = {name: getattr(socket, name) for name in dir(socket) if name[0] != "_"}
        named["getaddrinfo"] = getaddrinfo
        sys.modules["socket"] = type("socket", (), named)


if "resolver" in settings:
    set_resolver(settings["resolver"])


def say(word, *values):
    print(json.dumps([word] + list(values)))
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


def describe(error):
    return [type(error).__name__, getattr(error, "stage", None), getattr(error, "code", None)]


def make(**options):
    """A device or module client for the settings, with short deadlines."""
    if "backoff" in settings:
        set_backoff(*settings["backoff"], wait=lambda delay: say("wait", delay))
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
        if "quiet" in settings:
            given["outbox"].quiet = settings["quiet"]
    if "proxy" in settings:
        from iothub import ProxyOptions

        given["proxy_options"] = ProxyOptions(*settings["proxy"])
    if "x509" in settings:
        from iothub import X509

        host, device_id, certificate, key = settings["x509"]
        x509 = X509(certificate, key)
        return IoTHubDeviceClient.create_from_x509_certificate(x509, host, device_id, **given)
    if "sastoken" in settings:
        ids = settings.get("ids", [])
        return IoTHubDeviceClient.create_from_sastoken(settings["sastoken"], *ids, **given)
    return IoTHubDeviceClient.create_from_connection_string(settings["connection_string"], **given)


def set_backoff(base, cap, jitter=None, wait=None):
    """Clients that are made from now on connect again after other delays.

    jitter: what the back-off's random always gives; wait: a function that is told each delay.
    """
    from iothub import compat, failures

    class Backoff(failures.Backoff):
        def next(self):
            delay = super().next()
            if wait is not None:
                wait(delay)
            return delay

    random = compat.random if jitter is None else lambda: jitter
    failures.Backoff = lambda: Backoff(base, cap, random)


def whole_heap():
    """All of the free heap, which is taken as long as somebody holds this."""
    held = None
    try:
        while True:
            held = (held,)
    except MemoryError:
        return held


def note_tokens(note):
    """Call note(token) for each SAS token that a hub accepts from now on."""
    from iothub.connection import Connection

    accepted = Connection.token_accepted

    def token_accepted(self, token):
        accepted(self, token)
        if token is not None:
            note(token)

    Connection.token_accepted = token_accepted


async def word():
    """The test's next line, read without blocking the loop for long."""
    import select

    poller = select.poll()
    poller.register(_input, select.POLLIN)
    for _ in range(9000):
        if poller.poll(0):
            return _input.readline().strip()
        await asyncio.sleep(0.01)
    raise OSError("the test said nothing for 90 s")


def run(main):
    try:
        asyncio.run(main())
    except Exception as error:
        say("raised", *describe(error))
        raise
    say("end")
