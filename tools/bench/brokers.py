"""Starts the servers that clients connect to: the local hub, and mosquitto."""

import asyncio
import contextlib
import functools
import os
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

from iothub.sas import sas_token

from ..hub import certificates
from ..local_hub import running_hub
from ..processes import running
from ..service.client import ServiceClient
from .programs import HOST
from .rows import OURS

START_TIMEOUT = 15


class Target:
    """A server to connect to: its port, its CA, and each device's (client id, user name,
    password).
    """

    def __init__(self, name, port, ca_file, logins):
        self.name = name
        self.port = port
        self.ca_file = ca_file
        self.logins = logins


def device_names(count):
    return [f"bench-{number}" for number in range(count)]


@contextlib.asynccontextmanager
async def local_hub():
    """(RunningHub, ServiceClient) of a hub whose state is in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_hub(Path(folder)) as hub,
            ServiceClient.create_for_local_hub(hub) as service,
        ):
            yield hub, service


async def new_device(hub, service, name, front="mqtt"):
    """Create a device: the settings of a client program that connects to a front of the hub."""
    made = await service.create_device(name)
    return {
        "host": HOST,
        "port": hub[f"{front}_port"],
        "ca": hub["ca_file"],
        "device": name,
        "key": made["authentication"]["symmetricKey"]["primaryKey"],
    }


@contextlib.asynccontextmanager
async def hub_with_devices(count):
    """A Target: the local hub with `count` devices."""
    async with local_hub() as (hub, service):
        logins, expiry = [], int(time.time()) + 3600
        for name in device_names(count):
            key = (await new_device(hub, service, name))["key"]
            user = f"localhost/{name}/?api-version=2021-04-12"
            logins.append((name, user, sas_token(f"localhost/devices/{name}", key, expiry)))
        yield Target(OURS, hub["mqtt_port"], hub["ca_file"], logins)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@functools.cache
def mosquitto_binary():
    """The path of mosquitto; None where it is not installed, which is reported once."""
    binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if binary is None:
        print(
            "left out: all that is measured with mosquitto, which is not installed",
            file=sys.stderr,
        )
    return binary


@contextlib.asynccontextmanager
async def mosquitto(count=1):
    """A Target: mosquitto with TLS; None where it is not installed. It stores nothing.

    set_tcp_nodelay: its PUBACKs are many small writes. Nagle's algorithm would let all but the
    first wait for a delayed ACK, and that would be measured instead of the client.
    """
    binary = mosquitto_binary()
    if binary is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        ca, certificate, key = certificates.ensure(Path(folder))
        port, config = free_port(), Path(folder) / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        config.write_text(
            f"listener {port} 127.0.0.1\ncafile {ca}\ncertfile {certificate}\nkeyfile {key}\n"
            "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n"
            f"set_tcp_nodelay true\nlog_type none\n{user}"
        )
        async with running([binary, "-c", str(config)], terminate=True):
            await asyncio.wait_for(_listening(port), START_TIMEOUT)
            logins = [(name, name, "none") for name in device_names(count)]
            yield Target("mosquitto", port, str(ca), logins)


async def _listening(port):
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
