"""The wheel: the files in it, and the command `iothub` where the wheel alone is installed.

The commands run in a folder that has packages `tools` and `iothub` of its own, which must not hide
ours.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import venv
import zipfile

import pytest

from tools import umqtt
from tools.__main__ import COMMANDS
from tools.files import ROOT

PATIENCE = 60


def pip(python, *arguments):
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(list(map(str, command)), timeout=PATIENCE, check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-index", "--no-build-isolation")
    pip(sys.executable, "wheel", *options, "--wheel-dir", folder, ROOT)
    (built,) = folder.iterdir()
    return built


class Environment:
    """A virtual environment with the wheel, and the dependencies that the tests' own one has."""

    def __init__(self, folder, wheel):
        venv.create(folder / "venv", symlinks=True)
        self.bin = folder / "venv" / "bin"
        self.python = self.bin / "python"
        # pip and the dependencies. Of a path in a .pth the .pth files have no effect: the
        # checkout, which make installs by one, is not importable.
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        packages = subprocess.check_output([self.python, "-c", where], text=True).strip()
        with open(os.path.join(packages, "dependencies.pth"), "w") as file:
            file.write(sysconfig.get_path("purelib") + "\n")
        pip(self.python, "install", "--no-deps", "--no-index", "--ignore-installed", wheel)
        self.folder = folder / "user"
        for name in ("tools", "iothub"):
            (self.folder / name).mkdir(parents=True)
            (self.folder / name / "__init__.py").write_text("owner = 'the user'\n")
        self.device_program = folder / "program.py"
        self.device_program.write_text(
            "import iothub.mqtt.protocol\nprint(iothub.mqtt.protocol.MQTTClient)\n"
        )
        self._variables = {
            **{name: text for name, text in os.environ.items() if name != "PYTHONPATH"},
            "HOME": str(folder / "home"),
            "XDG_DATA_HOME": "",
            "XDG_CACHE_HOME": "",
            "UMQTT": str(umqtt.folder()),  # else it would be downloaded
        }

    def run(self, program, *arguments, **variables):
        """Run a program to its end: a CompletedProcess, with its output as text."""
        return subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.folder,
            env={**self._variables, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    @contextlib.contextmanager
    def started(self, *arguments):
        """A running `iothub …`; its first line of output, which is JSON, as a dict."""
        process = subprocess.Popen(
            [self.bin / "iothub", *arguments],
            cwd=self.folder,
            env=self._variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            yield json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            assert process.wait() == 0
        finally:
            watchdog.cancel()
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("installed"), wheel)


def below(folder, *endings):
    """The files in a folder of the checkout, relative to it."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix in endings)
    return {path.as_posix() for path in found}


def test_wheel_has_our_packages_only(wheel):
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {
        "iothub",
        "iothub_service",
        "iothub_tools",
    }


def test_wheel_has_every_file_that_the_commands_need(wheel):
    found = set(zipfile.ZipFile(wheel).namelist())
    expected = {f"iothub_tools/{name}" for name in below(ROOT / "tools", ".py")}
    expected |= {
        f"iothub_tools/source/firmware/{name}" for name in below(ROOT / "firmware", ".py", ".der")
    }
    expected |= {"iothub_tools/source/boot.py", "iothub_tools/source/main.py"}
    for package in ("iothub", "iothub_service"):
        folder = ROOT / "firmware" / package
        expected |= {f"{package}/{name}" for name in below(folder, ".py", ".pyi")}
    assert {name for name in found if ".dist-info/" not in name} == expected


def test_demo(installed):
    done = installed.run("iothub", "demo")
    assert done.returncode == 0, done.stdout
    assert "OK: " in done.stdout


def test_hub_is_found_by_the_other_commands(installed):
    with installed.started("hub", "--mqtt-port", "0", "--https-port", "0") as ports:
        assert ports["ca_file"].startswith(str(installed.folder.parent / "home"))
        created = installed.run("iothub", "device", "create", "my-board").stdout
        assert created.startswith(f"HostName=localhost:{ports['mqtt_port']};DeviceId=my-board;")


def test_error_names_the_command_as_it_is_installed(installed):
    done = installed.run("iothub", "device", "list", "--data", "nothing")
    assert done.stdout == (
        "device: no hub is running with the data folder nothing: start one with iothub hub\n"
    )


def test_board(installed):
    with installed.started("board") as board:
        assert board["folder"].startswith(str(installed.folder.parent / "home"))
        command = ("connect", board["port"], "exec", "import umqtt.simple; print('hello')")
        assert installed.run("python", "-m", "mpremote", *command).stdout == "hello\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_the_command_as_it_is_installed(installed, command):
    done = installed.run("iothub", command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: iothub {command} ")
    assert "python -m tools" not in done.stdout
    assert "{prog}" not in done.stdout


def test_image_is_made_of_the_installed_files(installed):
    done = installed.run("iothub", "deploy", "--romfs")
    assert done.returncode == 0, done.stdout
    assert (installed.folder / "iothub.romfs").stat().st_size > 50_000


def test_device_library_finds_umqtt(installed):
    done = installed.run("python", str(installed.device_program))
    assert done.stdout == "<class 'umqtt.simple.MQTTClient'>\n"


def test_device_library_without_umqtt_names_the_command_that_downloads_it(installed):
    done = installed.run("python", str(installed.device_program), UMQTT="")
    assert done.stdout.splitlines()[-1].startswith(
        "ImportError: umqtt.simple is not on this machine: download it with `iothub umqtt`"
    )
