"""Fixtures: a local hub, a virtual board, and the deploy command."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from host_tests.support.processes import hub_process, run_tools
from host_tests.support.virtual_board import virtual_board
from tools.files import ROOT
from tools.service.client import ServiceClient

DEVICE = "box"
PATIENCE = 60


class Deployment:
    """A hub with a device, and a folder with a program that deploy copies to a board."""

    def __init__(self, hub, data, folder):
        self.hub = hub
        self.data = data
        self.app = folder / "app"
        self.app.mkdir()
        for name in ("boot.py", "main.py"):
            shutil.copy(ROOT / name, self.app)
        made = run_tools("device", "create", DEVICE, "--data", str(data))
        self.connection_string = made.stdout.strip()
        self.environment = {
            "WIFI_SSID": "home",
            "WIFI_PASSWORD": "hunter2",
            "IOTHUB_DEVICE_CONNECTION_STRING": self.connection_string,
        }

    @property
    def secrets(self):
        return "hunter2", self.connection_string.partition("SharedAccessKey=")[2]

    def command(self, port, *arguments):
        known = ("--port", port, "--root", self.hub["ca_file"], "--app", str(self.app))
        return [sys.executable, "-m", "tools", "deploy", *known, *map(str, arguments)]

    def deploy(self, port, *arguments, environment=None, check=True):
        """Run deploy: the CompletedProcess. Its output must not contain a secret."""
        environment = self.environment if environment is None else environment
        done = subprocess.run(
            self.command(port, *arguments),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        for secret in self.secrets:
            assert secret not in done.stdout + done.stderr
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def service(self, scenario):
        """Run scenario(a ServiceClient) to its end."""

        async def main():
            async with ServiceClient.create_for_local_hub(self.hub) as service:
                return await asyncio.wait_for(scenario(service), PATIENCE)

        return asyncio.run(main())


@pytest.fixture
def deployment(tmp_path):
    data = tmp_path / "hub"
    data.mkdir()
    with hub_process(data) as hub:
        yield Deployment(hub, data, tmp_path)


@pytest.fixture
def board(tmp_path):
    with virtual_board(tmp_path / "flash") as board:
        board.settle()
        yield board


@pytest.fixture
def flash(board):
    """The board's file system, as a folder of this machine."""
    return Path(board.folder)
