"""What is measured: the local hub, and mosquitto as the neutral broker; each is a process."""

import asyncio
import contextlib
import functools
import os
import shutil
import socket
import sys
import time
from pathlib import Path

from iothub.sas import sas_token

from ..hub import certificates
from ..local_hub import running_hub
from ..service.client import ServiceClient
from .rows import OURS

START_TIMEOUT = 15


class Target:
    """Where to connect: the port, the CA, and each device's (client id, user name, password)."""

    def __init__(self, name, port, ca_file, logins):
        self.name = name
        self.port = port
        self.ca_file = ca_file
        self.logins = logins


def device_names(count):
    return [f"bench-{number}" for number in range(count)]


@contextlib.asynccontextmanager
async def hub(folder, count):
    """The local hub, with `count` devices."""
    async with (
        running_hub(folder) as ports,
        ServiceClient.create_for_local_hub(ports) as service,
    ):
        logins, expiry = [], int(time.time()) + 3600
        for name in device_names(count):
            made = await service.create_device(name)
            key = made["authentication"]["symmetricKey"]["primaryKey"]
            user = f"localhost/{name}/?api-version=2021-04-12"
            logins.append((name, user, sas_token(f"localhost/devices/{name}", key, expiry)))
        yield Target(OURS, ports["mqtt_port"], ports["ca_file"], logins)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@functools.cache
def mosquitto_binary():
    """The path of mosquitto, else None, and says so once."""
    binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if binary is None:
        print(
            "left out: mosquitto is not installed, nor what is measured with it", file=sys.stderr
        )
    return binary


@contextlib.asynccontextmanager
async def mosquitto(folder, count):
    """mosquitto with TLS; None where it is not installed. It stores nothing: nobody subscribes.

    set_tcp_nodelay: its PUBACKs are many small writes, of which Nagle's algorithm would let all
    but the first wait for a delayed ACK; that would be measured, and not the client.
    """
    binary = mosquitto_binary()
    if binary is None:
        yield None
        return
    folder = Path(folder)
    ca, certificate, key = certificates.ensure(folder)
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\ncafile {ca}\ncertfile {certificate}\nkeyfile {key}\n"
        "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n"
        "set_tcp_nodelay true\nlog_type none\n" + ("user root\n" if os.geteuid() == 0 else "")
    )
    process = await asyncio.create_subprocess_exec(
        binary, "-c", str(config), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        give_up = asyncio.get_running_loop().time() + START_TIMEOUT
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            except OSError:
                if asyncio.get_running_loop().time() > give_up:
                    raise
                await asyncio.sleep(0.05)
        logins = [(name, name, "none") for name in device_names(count)]
        yield Target("mosquitto", port, str(ca), logins)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), START_TIMEOUT)
