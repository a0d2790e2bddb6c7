"""The whole hub, core and fronts: for the command `hub`, and for tests in their own process."""

import asyncio
import contextlib
import errno
import json
import logging
from pathlib import Path

from ..loopback import NAME
from . import DEFAULT_PORTS, amqp, certificates, host_name, mqtt, rest, tls
from .core import Core
from .core.events import ENTITY

log = logging.getLogger("hub")

_SWEEP = 5  # seconds between searches for expired messages and locks


class PortTaken(OSError):
    """The hub cannot listen on a port. The text names the port and the reason."""


class Hub:
    """A running hub: async with Hub(folder) as hub. hub.ports is its JSON line, as a dict.

    host: where it listens, as in loopback.listeners().
    ports: {name as in DEFAULT_PORTS: port}. None: the default port, or a free port if it is in
    use. 0: a free port. PortTaken, StorageError.
    """

    def __init__(self, folder, host=NAME, ports=None, **core_options):
        self._folder = Path(folder)
        self._host = host
        self._wanted = dict.fromkeys(DEFAULT_PORTS) if ports is None else ports
        self.core = Core(self._folder, **core_options)
        self.ports = {}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self):
        self._folder.mkdir(parents=True, exist_ok=True)
        ca, certificate, key = certificates.ensure(self._folder, self._host)
        contexts = tls.Contexts(certificate, key)
        try:
            await self.core.open()
            self._stack.push_async_callback(self.core.close)
            mqtt_port = await self._listen("mqtt", mqtt.serving, contexts)
            amqp_port = await self._listen("amqp", amqp.serving, contexts)
            plain_port = await self._listen("amqp_plain", amqp.serving, None, amqp_port)
            https_port = await self._listen("https", rest.serving, contexts, amqp_port)
        except BaseException:
            await self._stack.aclose()
            raise
        sweeper = asyncio.create_task(self._sweep())
        self._stack.callback(sweeper.cancel)
        self.ports = {
            "mqtt_port": mqtt_port,
            "amqp_port": amqp_port,
            "amqp_plain_port": plain_port,
            "https_port": https_port,
            "ca_file": str(ca),
            "id_scope": self.core.provisioning.id_scope,
            "service_connection_string": self._service_connection_string(https_port),
            "eventhub_connection_string": self._eventhub_connection_string(plain_port),
        }
        self._announce()
        return self

    async def __aexit__(self, *_):
        await self._stack.aclose()

    async def _listen(self, name, serving, *options):
        """Start a front on the wanted port; without one, on the default port or a free one."""

        async def listen(port):
            try:
                front = serving(self.core, self._host, port, *options)
                return await self._stack.enter_async_context(front)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EADDRINUSE):
                    raise
                advice = "choose another port, or 0 for a free one"
                raise PortTaken(f"port {port} for {name}: {error.strerror}: {advice}") from None

        if self._wanted[name] is not None:
            return await listen(self._wanted[name])
        default = DEFAULT_PORTS[name]
        try:
            return await listen(default)
        except PortTaken:
            log.warning("port %d for %s cannot be used; a free port replaces it", default, name)
            return await listen(0)

    def _announce(self):
        """Write the JSON line into the data folder, where the commands find a running hub."""
        path = self._folder / "hub.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(self.ports))
        self._stack.callback(path.unlink, missing_ok=True)

    def _service_connection_string(self, port):
        """The connection string of the policy iothubowner, for the REST API on `port`."""
        host, key = host_name("https", port), self.core.policy_keys["iothubowner"]
        return f"HostName={host};SharedAccessKeyName=iothubowner;SharedAccessKey={key}"

    def _eventhub_connection_string(self, port):
        """The connection string for the events, which azure-eventhub reads without TLS."""
        key = self.core.policy_keys["iothubowner"]
        return (
            f"Endpoint=sb://localhost:{port};SharedAccessKeyName=iothubowner;SharedAccessKey={key};"
            f"UseDevelopmentEmulator=true;EntityPath={ENTITY}"
        )

    async def _sweep(self):
        while True:
            await asyncio.sleep(_SWEEP)
            self.core.sweep()
