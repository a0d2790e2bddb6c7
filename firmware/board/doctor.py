"""What keeps this board from its hub: `import board.doctor`, in the REPL, finds out.

One line a stage: settings, Wi-Fi, DNS, clock, TLS with each root, credentials, connect, one
message. The first that fails says what to do about it, and is the last. `board.doctor.run()` does
it again; `board.doctor.healthy` is what came of it. This is a command, and so the one module of
the library that acts when it is imported, and that knows the board's own modules.
"""

import asyncio
import gc
import socket
import time

from iothub.compat import ticks_diff, ticks_ms
from iothub.errors import CredentialError, TransportError
from iothub.net.root_certificates import BUILT_IN, UPDATED, place
from iothub.options import from_connection_string

healthy = False  # after run(): whether all was well

_STAGES = ("settings", "wifi", "dns", "clock", "tls", "credentials", "connect", "message")
_ADVICE = {
    "settings": "bring others: iothub deploy --settings FILE",
    "wifi": "are ssid and password right? is it a network of 2.4 GHz?",
    "dns": "is the host in the connection string right? does this network reach the Internet?",
    "clock": "NTP (UDP port 123) may be blocked: a server that answers is the setting ntp_host",
    "tcp": "is it the right host and port? a firewall lets 443 through: websockets=True",
    "tls": "no root fits: a hub with a CA of its own needs the setting server_verification_cert",
    "credentials": "is the device there, and enabled? copy its connection string again",
    "connect": "iothub.log.on('debug') tells more",
    "message": "iothub.log.on('debug') tells more",
}
_DEADLINE = 10  # seconds, to join the Wi-Fi, and for a TLS handshake


def run(config=None, show=print):
    """Examine; True if all is well. config: the settings as a dict; without it settings.json's.

    show(text) is called with each line: `ok`, `FAIL` or `look`, the stage and a text.
    """
    global healthy
    healthy = False
    examination = Examination(config, show)
    for stage in _STAGES:
        gc.collect()
        try:
            found = getattr(examination, stage)()
        except (OSError, ValueError, ImportError, CredentialError) as error:
            # A later stage may see what an earlier one could not: the port, or the key.
            where = getattr(error, "stage", None)
            at = where if where in ("dns", "tcp") else stage
            show("FAIL  %s: %s -> %s" % (at, _text(error), _ADVICE[at]))
            return False
        show("ok    %s: %s" % (stage, found))
    healthy = True
    return True


def _text(error):
    """An error's text, without the stage before it: that stands in the line already."""
    text = str(error) or type(error).__name__
    head, colon, rest = text.partition(": ")
    return rest if colon and head in ("Wi-Fi", getattr(error, "stage", None)) else text


class Examination:
    """The stages, as methods that say what they found; what they raise is what is wrong."""

    def __init__(self, config, show):
        self._config = config
        self._show = show
        self._credentials = None
        self._connected = None  # what there is to say of the connection

    def settings(self):
        if self._config is None:
            from board import settings

            self._config = settings.load()
        self._credentials = from_connection_string(self._config["connection_string"])
        return "device %s of %s" % (self._credentials.client_id, self._credentials.host)

    def wifi(self):
        from board import wifi

        ssid, password = self._config["wifi_ssid"], self._config["wifi_password"]
        return "%s, address %s" % (ssid, wifi.connect(ssid, password, _DEADLINE))

    def dns(self):
        host, port = self._place()
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        return "%s has %d address%s" % (host, len(found), "" if len(found) == 1 else "es")

    def clock(self):
        from board import clock_check

        wrong = clock_check.check(self._config.get("ntp_host"))
        now = "%d-%02d-%02d %02d:%02d UTC" % tuple(time.gmtime()[:5])
        if wrong is None:
            return now + "; NTP does not answer, so nobody can tell"
        return now + ("; it was wrong, and is set by now" if wrong else ", as NTP says")

    def tls(self):
        own = self._config.get("server_verification_cert")
        fits = None
        for path in [own] if own else [place(name) for name in BUILT_IN + (UPDATED,)]:
            name = path[path.rfind("/") + 1 :]
            try:
                asyncio.run(self._greet(path))
                fits = fits or name
                found = "fits"
            except TransportError as error:
                if error.stage != "tls":
                    raise
                found = "does not: " + _text(error)
            except OSError:
                if name == UPDATED:
                    continue  # there need be none
                found = "is not on the board"
            self._show("look  tls: %s %s" % (name, found))
            gc.collect()
        if fits is None:
            raise ValueError("the hub's certificate is not proved")
        return "the hub is proved by " + fits

    async def _greet(self, root):
        """A handshake that trusts `root` alone. TransportError; OSError: there is no such file."""
        from iothub.compat import wait_for
        from iothub.net import client_context
        from iothub.net.opening import open_stream

        host, port = self._place()
        stream = await open_stream(host, port, client_context(root), _DEADLINE)
        try:
            # MQTT's DISCONNECT, without a CONNECT: the first write does the handshake.
            await wait_for(stream.write(b"\xe0\x00"), _DEADLINE, "tls")
        finally:
            stream.close()

    def credentials(self):
        start = ticks_ms()
        client = asyncio.run(self._visit(None))
        self._connected = "%s, after %d ms" % (client, ticks_diff(ticks_ms(), start))
        return "the hub takes them"

    def connect(self):
        return self._connected

    def message(self):
        start = ticks_ms()
        asyncio.run(self._visit('{"doctor": true}'))
        return "acknowledged %d ms after connecting began" % ticks_diff(ticks_ms(), start)

    async def _visit(self, message):
        """Connect, send `message` unless it is None, disconnect; the client's repr meanwhile."""
        from iothub.client import IoTHubDeviceClient

        client = IoTHubDeviceClient(
            self._credentials,
            server_verification_cert=self._config.get("server_verification_cert"),
            connection_retry=False,
        )
        await client.connect()
        try:
            if message is not None:
                await client.send_message(message)
            return repr(client)
        finally:
            await client.shutdown()

    def _place(self):
        return self._credentials.host, self._credentials.port or 8883


run()
