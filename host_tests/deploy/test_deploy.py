"""python -m tools deploy on a virtual board: a first deploy, updates, interruptions, errors."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from host_tests.support.processes import run_tools
from host_tests.support.virtual_board import at_terminal, virtual_board
from tools.deploy import frozen, image, onboard, transfer
from tools.interpreter import word_size
from tools.remote import Remote

DEVICE = "box"
PATIENCE = 60


def wait_for(condition, what):
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.01)


# -- the whole way ---------------------------------------------------------------------------


def test_deploy_to_an_empty_board_connects_it_to_the_hub(deployment, board, flash):
    said = deployment.deploy(board.port).stdout
    assert "clock was not set" in said
    assert "deployed" in said

    async def scenario(service):
        telemetry = service.local.telemetry(DEVICE, timeout=PATIENCE)
        event = await anext(telemetry)
        assert "temperature" in json.loads(event["body"])
        patch = {"properties": {"desired": {"telemetryInterval": 1}}}
        await service.patch_twin(DEVICE, patch)
        await service.send_c2d_message(DEVICE, b"hello, board")
        status, _ = await service.invoke_method(DEVICE, "getStatus", None)
        assert status == 200
        await anext(telemetry)
        twin = await service.get_twin(DEVICE)
        assert twin["properties"]["reported"]["telemetryInterval"] == 1

    with board.opened() as typist:
        deployment.service(scenario)
        typist.expect(b"message: hello, board")
        typist.type(b"\x03")
        typist.expect(b">>> ")
        typist.type(b"client\r")
        state = typist.expect(b"\r\n>>> ")
        assert b"<IoTHubDeviceClient box: connected, round trip " in state
        assert b"heap low " in state

    assert not list(flash.rglob("*.py")) or {p.name for p in flash.rglob("*.py")} == {
        "boot.py",
        "main.py",
    }
    assert not (flash / "deploy").exists()


def test_only_the_edited_main_is_copied(deployment, board, flash):
    deployment.deploy(board.port)
    before = {path: path.stat().st_ino for path in (flash / "lib").rglob("*.mpy")}
    (deployment.app / "main.py").write_text("print('my own program')\n")
    said = deployment.deploy(board.port).stdout
    assert "1 of " in said
    assert "main.py" in said
    with board.opened() as typist:
        typist.type(b"\r\x03\x04")
        typist.expect(b"my own program\r\n")
    assert {path: path.stat().st_ino for path in (flash / "lib").rglob("*.mpy")} == before
    assert "files already" in deployment.deploy(board.port).stdout


def test_existing_settings_stay_without_new_ones(deployment, board, flash):
    deployment.deploy(board.port)
    before = (flash / "settings.json").read_bytes()
    plain = [
        w for w in deployment.command(board.port) if w not in ("--root", deployment.hub["ca_file"])
    ]
    done = subprocess.run(plain, capture_output=True, timeout=PATIENCE, check=False, text=True)
    assert "files already" in done.stdout, done.stderr
    assert (flash / "settings.json").read_bytes() == before


def test_files_of_an_older_deployment_are_removed(deployment, board, flash):
    """MicroPython would import client.py rather than client.mpy."""
    for name in ("lib/iothub/client.py", "lib/board/old.py", "lib/mine/own.py"):
        (flash / name).parent.mkdir(parents=True, exist_ok=True)
        (flash / name).write_text("1/0\n")
    (flash / "lib" / "certs").mkdir()
    (flash / "lib" / "certs" / "updated.der").write_bytes(b"0")
    deployment.deploy(board.port)
    assert not (flash / "lib" / "iothub" / "client.py").exists()
    assert not (flash / "lib" / "board" / "old.py").exists()
    assert (flash / "lib" / "mine" / "own.py").exists()
    assert (flash / "lib" / "certs" / "updated.der").exists()


def test_umqtt_is_added_to_an_image_without_it(deployment, tmp_path):
    with virtual_board(tmp_path / "bare", "--no-umqtt") as board:
        assert "umqtt.simple: copying it, too" in deployment.deploy(board.port).stdout
        assert board.mpremote("exec", "import umqtt.simple; print('there')") == "there\r\n"


def test_azure_package_can_be_imported(deployment, board):
    deployment.deploy(board.port, "--azure")
    code = "from azure.iot.device.aio import IoTHubDeviceClient; import uuid; print('there')"
    assert board.mpremote("exec", code) == "there\r\n"


# -- interrupted -----------------------------------------------------------------------------


@pytest.fixture
def old_program(deployment, board, flash):
    """A board that runs an old program, and a new one that is much larger."""
    (deployment.app / "main.py").write_text("print('the old program')\n")
    deployment.deploy(board.port)
    for name in ("boot.py", "main.py"):
        text = (deployment.app / name).read_text()
        (deployment.app / name).write_text(text + "# " + "x" * 200000 + "\nprint('new')\n")
    (deployment.app / "main.py").write_text(
        "print('the new program')\n# " + "x" * 200000 + "\n",
    )
    return {path: path.read_bytes() for path in flash.rglob("*.*")}


def half_way(deployment, board, flash, code=None):
    """A deploy process that has copied part of its files."""
    command = deployment.command(board.port)
    if code:
        command[1:4] = ["-c", code]
    process = subprocess.Popen(
        command,
        env={**os.environ, **deployment.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    stage = flash / "deploy" / "0"

    def under_way():
        assert process.poll() is None, process.communicate()[0]
        return stage.exists() and stage.stat().st_size > 4096

    wait_for(under_way, "nothing goes over")
    return process


def test_ctrl_c_during_deploy_keeps_the_old_program(deployment, board, flash, old_program):
    process = half_way(deployment, board, flash)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 130
    assert "the old program starts again" in said
    assert "Traceback" not in said
    runs_the_old_program(board, flash, old_program)


def test_killed_deploy_keeps_the_old_program(deployment, board, flash, old_program):
    """The watchdog restarts the board: after 6 s in this test, instead of 30."""
    code = (
        "import sys; from tools.deploy import transfer; transfer._WATCHDOG = 6000\n"
        "from tools.__main__ import main; sys.exit(main(['deploy'] + sys.argv[1:]))"
    )
    process = half_way(deployment, board, flash, code)
    process.kill()
    process.communicate(timeout=PATIENCE)
    with board.opened() as typist:
        typist.expect(b"(TG1WDT_SYS_RESET)")
        typist.expect(b"the old program\r\n")
    runs_the_old_program(board, flash, old_program)


def test_power_loss_during_deploy_keeps_the_old_program(deployment, board, flash, old_program):
    process = half_way(deployment, board, flash)
    board.command("reset")
    said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 1
    assert "Traceback" not in said
    runs_the_old_program(board, flash, old_program)


def runs_the_old_program(board, flash, old_program):
    with board.opened() as typist:
        typist.type(b"\r\x03\x04")
        typist.expect(b"soft reboot\r\n")
        typist.expect(b"the old program\r\n")
    for path, data in old_program.items():
        assert path.read_bytes() == data, path


def test_deploy_after_an_interrupted_one_succeeds(deployment, board, flash, old_program):
    process = half_way(deployment, board, flash)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    deployment.deploy(board.port)
    with board.opened() as typist:
        typist.type(b"\r\x03\x04")
        typist.expect(b"the new program\r\n")
    assert not (flash / "deploy").exists()


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_boot_completes_a_deployment_interrupted_by_power_loss(deployment, board, flash, moved):
    """boot.py moves the complete files into place, however many of them were moved before."""
    deployment.deploy(board.port)
    with board.opened() as typist:
        typist.expect(b"sent:")
    files = {
        "/lib/iothub/text.mpy": b"new 1",
        "/lib/mine/data": b"new 2",
        "/main.py": b"print('n')",
    }
    stage = flash / "deploy"
    stage.mkdir()
    pairs = []
    for number, (path, data) in enumerate(files.items()):
        pairs.append((f"/deploy/{number}", path))
        target = flash / path[1:] if number < moved else stage / str(number)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(data)
    (flash / "lib" / "board" / "old.py").write_text("")
    (stage / "finish.py").write_text(onboard.finish(pairs, ["/lib/board/old.py"]))
    with board.opened() as typist:
        typist.type(b"\r\x03")
        typist.expect(b">>> ")
        board.command("reset")
        typist.expect(b"(POWERON_RESET)")
        typist.expect(b"deployed\r\n")
        typist.expect(b"(SW_CPU_RESET)")
        typist.expect(b"\nn\r\n")
    for path, data in files.items():
        assert (flash / path[1:]).read_bytes() == data
    assert not stage.exists()
    assert not (flash / "lib" / "board" / "old.py").exists()


# -- what is wrong ---------------------------------------------------------------------------


def refused(done):
    """The error line of a deploy that failed."""
    assert done.returncode == 1, done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("deploy: ")
    return line[8:]


def test_missing_port_is_one_error_line(deployment, tmp_path):
    assert refused(deployment.deploy("/dev/ttyNone", check=False)).startswith(
        "no port /dev/ttyNone: "
    )
    (tmp_path / "file").write_text("")
    port = str(tmp_path / "file")
    assert refused(deployment.deploy(port, check=False)) == f"{port} is not a serial port"


def test_busy_port_is_one_error_line(deployment, board):
    with board.opened():
        line = refused(deployment.deploy(board.port, check=False))
    assert (
        line == f"{board.port} is busy: close the program that uses it (mpremote, a terminal, "
        "an editor)"
    )


def test_silent_port_is_one_error_line(deployment, monkeypatch):
    ours, theirs = os.openpty()
    line = refused(deployment.deploy(os.ttyname(theirs), check=False))
    assert "no MicroPython answers: press the board's reset button" in line
    os.close(ours)
    os.close(theirs)


def test_full_board_keeps_its_files(deployment, tmp_path):
    with virtual_board(tmp_path / "small", "--flash", "128K") as board:
        board.mpremote("exec", "with open('main.py', 'w') as f: f.write('print(5)')")
        line = refused(deployment.deploy(board.port, check=False))
        assert line.startswith("the board is full: ")
        assert board.mpremote("exec", "print(open('main.py').read())") == "print(5)\r\n"


FILL = """
import os
with open("fill", "wb") as file:
    try:
        while True:
            file.write(bytes(512))
    except OSError:
        pass
"""


@pytest.mark.parametrize("full_before", [False, True])
def test_board_that_fills_up_in_mid_transfer_keeps_its_program(tmp_path, full_before):
    files = {"/lib/iothub/large.mpy": bytes(range(256)) * 800}
    with virtual_board(tmp_path / "small", "--flash", "128K") as board:
        board.mpremote("exec", "with open('main.py', 'w') as f: f.write('print(5)')")
        if full_before:  # not even a folder has room
            board.mpremote("exec", FILL)
        with Remote(board.port) as remote:
            plan = transfer.Plan(remote, files)
            with pytest.raises(transfer.DeployError, match="the board is full: remove files"):
                transfer.copy(remote, plan, lambda path, size: None)
            remote.restart()
        assert board.mpremote("exec", "print(open('main.py').read())") == "print(5)\r\n"


def test_small_heap_is_refused_unless_forced(deployment, tmp_path):
    with virtual_board(tmp_path / "small", "--heap", "32wK") as board:
        line = refused(deployment.deploy(board.port, check=False))
        needed = 96 if word_size() == 8 else 48
        assert f"KiB of heap are free and {needed} are needed" in line


@pytest.mark.parametrize(
    "version, mpy, expected",
    [
        ([1, 23, 0], 0x0B06, "MicroPython 1.23.0 is too old: flash 1.24.0 or later"),
        (
            [1, 24, 0],
            0x0B07,
            "mpy-cross cannot compile for the board's MicroPython (0xb07): update it",
        ),
    ],
)
def test_unsupported_micropython_is_refused(board, version, mpy, expected):
    """There is one MicroPython here, so the answer of the board is changed on its way."""

    class Old(Remote):
        def ask(self, code, timeout=None):
            return {**super().ask(code), "version": version, "mpy": mpy}

    with Old(board.port) as remote, pytest.raises(transfer.DeployError) as refusal:
        transfer.survey(remote)
    assert str(refusal.value) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("{", "is not JSON: look for a missing quote or comma"),
        ("{}", "connection_string is missing"),
        (
            '{"connection_string": "x", "wifi_ssid": "a", "wifi_password": 5}',
            "wifi_password is not a",
        ),
        (
            '{"connection_string": "HostName=h;DeviceId=d", "wifi_ssid": "a", "wifi_password":""}',
            "SharedAccessKey",
        ),
    ],
)
def test_wrong_settings_are_refused_before_the_board_is_touched(
    deployment, board, flash, tmp_path, text, expected
):
    (tmp_path / "my.json").write_text(text)
    (flash / "main.py").write_text("open('ran', 'w').close()\n")
    line = refused(deployment.deploy(board.port, "--settings", tmp_path / "my.json", check=False))
    assert expected in line
    assert not (flash / "ran").exists()
    assert not (flash / "boot.py").exists()


def test_missing_environment_variable_is_named(deployment, board):
    environment = dict(deployment.environment)
    del environment["IOTHUB_DEVICE_CONNECTION_STRING"]
    line = refused(deployment.deploy(board.port, environment=environment, check=False))
    assert line == "IOTHUB_DEVICE_CONNECTION_STRING is missing from the environment"


def test_board_without_settings_needs_settings(deployment, board):
    done = subprocess.run(
        [sys.executable, "-m", "tools", "deploy", "--port", board.port],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert refused(done) == "the board has no settings: name a file with --settings"


def test_syntax_error_in_main_is_found_before_copying(deployment, board, flash):
    (deployment.app / "main.py").write_text("print('a'\n")
    line = refused(deployment.deploy(board.port, check=False))
    assert "main.py does not compile" in line
    assert "SyntaxError" in line
    assert not (flash / "main.py").exists()


def test_wrong_root_certificate_is_named(deployment, board, tmp_path):
    (tmp_path / "no.pem").write_text("hello")
    line = refused(deployment.deploy(board.port, "--root", tmp_path / "no.pem", check=False))
    assert line == f"{tmp_path / 'no.pem'} is not a certificate in PEM or DER"


# -- other ways to a board -------------------------------------------------------------------


def test_package_json_is_up_to_date_and_installs_the_library(board):
    assert (image.ROOT / "package.json").read_text() == frozen.package(), (
        "python -m tools deploy --package package.json"
    )
    board.mpremote("mip", "install", image.ROOT / "package.json")
    code = (
        "from iothub import IoTHubDeviceClient; from iothub.net import root_certificates\n"
        "print(len(list(root_certificates.load())))"
    )
    assert board.mpremote("exec", code) == "2\r\n"


def test_manifest_names_what_is_deployed(tmp_path):
    target = tmp_path / "manifest.py"
    assert run_tools("deploy", "--frozen", str(target)).returncode == 0
    found = []

    def package(name, files, base_path):
        for file in files:
            assert os.path.exists(os.path.join(base_path, name, file))
            found.append(f"/lib/{name}/{file}"[:-3])

    included = []
    exec(target.read_text(), {"include": included.append, "package": package})
    assert included == ["$(PORT_DIR)/boards/manifest.py"]
    assert sorted(found) == sorted(image.sources())


def test_secrets_are_prompted_for_and_not_echoed(deployment, board, flash):
    """At a terminal, without environment variables, deploy asks three questions."""
    root = deployment.hub["ca_file"]
    command = [
        sys.executable,
        "-m",
        "tools",
        "deploy",
        "--port",
        board.port,
        "--root",
        root,
        "--repl",
    ]
    with at_terminal(command, start_new_session=True) as (process, person):
        said = b""
        for question, answer in (
            (b"Wi-Fi network: ", "home"),
            (b"its password (not shown): ", "hunter2"),
            (b"connection string (not shown): ", deployment.connection_string),
        ):
            said += person.expect(question)
            person.type(answer.encode() + b"\n")
        said += person.expect(b"deployed: ")
        said += person.expect(b"to exit this shell")
        said += person.expect(b"sent: ")
        person.type(b"\x1d")
        assert process.wait(PATIENCE) == 0
    for secret in deployment.secrets:
        assert secret.encode() not in said
    settings = json.loads((flash / "settings.json").read_text())
    assert settings["wifi_password"] == "hunter2"
    assert settings["connection_string"] == deployment.connection_string
