"""The library as a ROMFS image: MicroPython runs it in place, and deploy keeps it."""

import json
import subprocess

import pytest

from host_tests.support.processes import run_tools
from tools import umqtt
from tools.deploy import image
from tools.interpreter import environment, interpreter

# What is measured is what a board would have besides: the image is in its flash.
PROGRAM = """
import gc, json, os, sys, vfs
flash = bytearray(os.stat(sys.argv[1])[6])
with open(sys.argv[1], "rb") as file:
    file.readinto(flash)
vfs.mount(vfs.VfsRom(flash), "/rom")
sys.path[0] = sys.argv[2]
gc.collect()
before = gc.mem_alloc()
from iothub.client import IoTHubDeviceClient
from iothub.mqtt import transport as mqtt
from iothub.net import root_certificates as roots
from iothub.mqtt import protocol as session
gc.collect()
print(json.dumps([gc.mem_alloc() - before, roots.__file__, roots.place("a.der")]))
"""
ONE_BY_ONE = """
import sys, vfs
with open(sys.argv[1], "rb") as file:
    vfs.mount(vfs.VfsRom(file.read()), "/rom")
sys.path[0] = "/rom/lib"
for name in sys.argv[2:]:
    __import__(name)
print("all")
"""


@pytest.fixture
def romfs_image(tmp_path):
    """The image's file."""
    target = tmp_path / "iothub.romfs"
    done = run_tools("deploy", "--romfs", str(target))
    assert done.returncode == 0
    assert "mpremote romfs deploy" in done.stdout
    return target


def micropython(program, *arguments, folders=()):
    done = subprocess.run(
        [interpreter(), "-X", "heapsize=2048wK", "-c", program, *map(str, arguments)],
        env=environment(umqtt.folder(), *folders),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_code_runs_in_place(romfs_image, tmp_path):
    for path, data in image.compiled(image.sources()).items():
        file = tmp_path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    in_ram, _, _ = json.loads(micropython(PROGRAM, romfs_image, tmp_path / "lib"))
    in_rom, file, root = json.loads(micropython(PROGRAM, romfs_image, "/rom/lib"))
    assert file.startswith("/rom/lib/iothub/")
    assert root == "/lib/certs/a.der"  # which deploy brings, and iothub.net.root_update may change
    assert in_rom < 0.75 * in_ram


def test_image_has_every_module(romfs_image):
    names = [
        path.removeprefix("/lib/").replace("/", ".")
        for path in image.sources()
        if path.startswith("/lib/iothub/") and not path.endswith(("__init__", "/doctor"))
    ]
    assert micropython(ONE_BY_ONE, romfs_image, *names) == "all\n"


def test_deploy_skips_modules_in_romfs(deployment, board, flash):
    deployment.deploy(board.port)
    assert list((flash / "lib" / "iothub").rglob("*.mpy"))
    (flash / "rom" / "lib" / "iothub").mkdir(parents=True)
    said = deployment.deploy(board.port).stdout
    assert "image has the library built in" in said
    # What lay there before would be imported first.
    assert not list((flash / "lib").rglob("*.mpy"))
    assert list((flash / "lib" / "certs").glob("*.der"))
