"""A virtual board with a hub of its own, and the lines of its console."""

import asyncio
import contextlib

from tools.board.disk import furnish
from tools.board.machine import Board
from tools.device import connection_string
from tools.local_hub import running_hub
from tools.service.client import ServiceClient

SETTINGS = {
    "connection_string": "HostName=localhost:1;DeviceId=d;SharedAccessKey=AAAA",
    "wifi_ssid": "net",
    "wifi_password": "hunter2",
}
PATIENCE = 40


async def console_until(board, text):
    """The console's lines up to one with `text`."""
    lines = []

    async def read():
        async for line in board.lines():
            lines.append(line)
            if text in line:
                return

    await asyncio.wait_for(read(), PATIENCE)
    assert lines and text in lines[-1], lines
    return lines


@contextlib.asynccontextmanager
async def board_on_hub(tmp_path, desired=None, prepare=lambda disk: None, **settings):
    """(board, service) of a board that has started, with a hub of its own. desired: the twin's
    desired properties at the start.

    prepare(disk) changes the board's files before it starts; `settings` are added to its own.
    """
    hub_folder, disk = tmp_path / "hub", tmp_path / "disk"
    hub_folder.mkdir()
    disk.mkdir()
    async with (
        running_hub(hub_folder) as ports,
        ServiceClient.create_for_local_hub(ports) as service,
    ):
        made = await service.create_device("d")
        if desired is not None:
            await service.patch_twin("d", {"properties": {"desired": desired}})
        settings = {
            **SETTINGS,
            "connection_string": connection_string(made, ports),
            "server_verification_cert": ports["ca_file"],
            **settings,
        }
        furnish(disk, settings)
        prepare(disk)
        board = Board(disk)
        await board.start()
        try:
            yield board, service
        finally:
            await board.stop()
