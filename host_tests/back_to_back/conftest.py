"""The hub's core, without fronts, for tests that join a front to the client's protocol."""

import asyncio
import itertools
import time

import pytest

from iothub.sas import sas_token
from tools.hub.core.core import Core

PATIENCE = 60


class CoreTestbed:
    """A hub's core on an event loop of its own, and new devices in it."""

    def __init__(self, folder):
        self._loop = asyncio.new_event_loop()
        self._serial = itertools.count(1)
        self.core = Core(folder)
        self.run(self.core.open())

    def run(self, coroutine):
        """Run a coroutine to its end."""
        return self._loop.run_until_complete(asyncio.wait_for(coroutine, PATIENCE))

    def close(self):
        self.run(self.core.close())
        self._loop.close()

    def new_device(self):
        """(identity, SAS token) of a device that no other test has."""
        identity = self.core.create(f"d{next(self._serial)}", None, {})
        key = identity.record["authentication"]["symmetricKey"]["primaryKey"]
        resource = f"localhost/devices/{identity.device_id}"
        return identity, sas_token(resource, key, int(time.time()) + 3600)

    def send_c2d(self, identity, body):
        """Queue a cloud-to-device message."""
        self.core.send_message(identity, body, {}, {})

    async def telemetry(self, identity):
        """The bodies of a device's telemetry, in the order of the event log."""
        events = await self.core.events.of_device(identity.device_id, -1)
        source = "iothub-message-source"
        return [event["body"] for event in events if event["annotations"][source] == "Telemetry"]


@pytest.fixture(scope="module")
def core_testbed(tmp_path_factory):
    """A CoreTestbed for the tests of one module."""
    testbed = CoreTestbed(tmp_path_factory.mktemp("core"))
    yield testbed
    testbed.close()
