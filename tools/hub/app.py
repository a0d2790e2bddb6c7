"""The hub assembled: core and fronts, for the command and, in process, for tests."""

import asyncio
import contextlib
import errno
import json
import logging
from pathlib import Path

from . import USUAL, amqp, certificates, mqtt, rest, tls
from .core import Core

log = logging.getLogger("hub")

_SWEEP = 5  # seconds between looks for messages whose time is over


class PortTaken(OSError):
    """A port that was asked for cannot be had."""


class Hub:
    """async with Hub(folder) as hub: a running hub; hub.ports is its JSON line as a dict.

    ports: a dict with USUAL's names. None is the usual port where it may be had, else any free
    one; 0 is any free one.
    """

    def __init__(self, folder, host="127.0.0.1", ports=None, **core_options):
        self._folder = Path(folder)
        self._host = host
        self._wanted = dict.fromkeys(USUAL) if ports is None else ports
        self.core = Core(self._folder / "hub.sqlite", **core_options)
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
            "service_connection_string": self.core.service_connection_string(https_port),
            "eventhub_connection_string": self.core.eventhub_connection_string(plain_port),
        }
        self._announce()
        return self

    async def __aexit__(self, *_):
        await self._stack.aclose()

    async def _listen(self, name, serving, *options):
        """Start a front on the port that was asked for, or on the usual one, or on a free one."""
        wanted = self._wanted[name]
        for port in (USUAL[name], 0) if wanted is None else (wanted,):
            try:
                front = serving(self.core, self._host, port, *options)
                return await self._stack.enter_async_context(front)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EADDRINUSE):
                    raise
                log.warning("port %d for %s is not to be had", port, name)
                refusal = PortTaken(f"port {port} for {name}: {error.strerror}")
        raise refusal

    def _announce(self):
        """Leave the JSON line in the data folder, where `tools device` finds a running hub."""
        path = self._folder / "hub.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(self.ports))
        self._stack.callback(path.unlink, missing_ok=True)

    async def _sweep(self):
        while True:
            await asyncio.sleep(_SWEEP)
            self.core.sweep()
