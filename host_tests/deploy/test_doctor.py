"""python -m tools doctor on a virtual board and on this host: faults that it finds, and none."""

import json

import pytest

from host_tests.support.processes import run_tools
from host_tests.support.virtual_board import virtual_board
from tools.board.disk import furnish

WELL = ["settings", "wifi", "dns", "clock", "tls", "credentials", "connect", "message"]


@pytest.fixture
def prepared_board(deployment, tmp_path):
    """prepared_board(*arguments, **settings): a board with the firmware, and these settings."""

    def prepare(*arguments, **settings):
        folder = tmp_path / "flash"
        folder.mkdir()
        furnish(
            folder,
            {
                "wifi_ssid": "home",
                "wifi_password": "hunter2",
                "connection_string": deployment.connection_string,
                "server_verification_cert": deployment.hub["ca_file"],
                **settings,
            },
        )
        return virtual_board(folder, *arguments)

    return prepare


def examined(deployment, board):
    """(exit status, lines) of the doctor; no line contains a secret."""
    done = run_tools("doctor", "--port", board.port, patience=60)  # the resolver takes its time
    assert not done.stderr
    for secret in deployment.secrets:
        assert secret not in done.stdout
    return done.returncode, done.stdout.splitlines()


def stages(lines, verdict):
    return [line.split()[1].rstrip(":") for line in lines if line.startswith(verdict)]


def test_healthy_board(deployment, prepared_board):
    with prepared_board() as board:
        status, lines = examined(deployment, board)
        assert status == 0, lines
        assert stages(lines, "ok") == WELL
        with board.opened() as typist:  # its own program runs again
            typist.type(b"\x03")
            typist.expect(b'File "main.py"')

    async def scenario(service):
        bodies = [event["body"] for event in await service.local.stored_events("box")]
        assert b'{"doctor": true}' in bodies

    deployment.service(scenario)


def test_doctor_runs_on_the_board(deployment, prepared_board):
    with prepared_board() as board:
        said = board.mpremote("exec", "import board.doctor").splitlines()
        assert stages(said, "ok") == WELL


def fails(deployment, board, stage, *words):
    """The doctor reports `stage` as the first failure, with `words` and a remedy."""
    status, lines = examined(deployment, board)
    assert status == 1
    (line,) = [line for line in lines if line.startswith("FAIL")]
    assert line is lines[-1]
    assert line.startswith(f"FAIL  {stage}: "), lines
    assert " -> " in line
    for word in words:
        assert word in line
    before = WELL[: WELL.index(stage)] if stage in WELL else WELL[: WELL.index("tls")]
    assert stages(lines, "ok") == before


def test_wrong_settings(deployment, prepared_board):
    with prepared_board(connection_string="HostName=x;DeviceId=y") as board:
        fails(deployment, board, "settings", "SharedAccessKey")


def test_wrong_wifi_password(deployment, prepared_board):
    with prepared_board("--wifi", "wrong-password") as board:
        fails(deployment, board, "wifi", "wrong password", "ssid")


def test_unresolvable_host(deployment, prepared_board):
    text = "HostName=no-such-hub.invalid;DeviceId=box;SharedAccessKey=aGVsbG8="
    with prepared_board(connection_string=text) as board:
        fails(deployment, board, "dns", "connection string")


def test_closed_port(deployment, prepared_board):
    text = deployment.connection_string.replace(str(deployment.hub["mqtt_port"]), "1")
    with prepared_board(connection_string=text) as board:
        fails(deployment, board, "tcp", "ECONNREFUSED", "443")


def test_hub_with_an_untrusted_certificate(deployment, prepared_board):
    """Without the hub's CA the doctor tries Azure's two roots."""
    with prepared_board(server_verification_cert=None) as board:
        path = f"{board.folder}/settings.json"
        with open(path) as file:
            settings = json.load(file)
        del settings["server_verification_cert"]
        with open(path, "w") as file:
            json.dump(settings, file)
        status, lines = examined(deployment, board)
        assert status == 1
        looked = [line for line in lines if line.startswith("look  tls: ")]
        assert len(looked) == 2
        assert all(" does not: " in line for line in looked)
        assert lines[-1].startswith("FAIL  tls: the hub's certificate is not proved -> ")


def test_missing_root_certificate_file(deployment, prepared_board):
    with prepared_board() as board:
        board.mpremote("fs", "rm", ":ca.pem")
        status, lines = examined(deployment, board)
        assert "look  tls: ca.pem is not on the board" in lines
        assert lines[-1].startswith("FAIL  tls: ")


def test_refused_key(deployment, prepared_board):
    key = deployment.secrets[1]
    wrong = deployment.connection_string.replace(key, "d3Jvbmc=")
    with prepared_board(connection_string=wrong) as board:
        fails(deployment, board, "credentials", "(5)", "copy its connection string again")


def test_board_without_the_firmware(deployment, tmp_path):
    with virtual_board(tmp_path / "flash") as board:
        done = run_tools("doctor", "--port", board.port)
    assert done.returncode == 1
    assert done.stderr == "doctor: the board has no firmware: run python -m tools deploy\n"
