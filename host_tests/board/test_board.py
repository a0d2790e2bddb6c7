"""boot.py and main.py, unchanged, on a virtual board: MicroPython's unix port with stand-ins."""

import asyncio
import json

import pytest

from host_tests.support.board_on_hub import PATIENCE, SETTINGS, board_on_hub, console_until
from tools.board.disk import furnish
from tools.board.machine import Board


def on_board(tmp_path, settings, text, prepare=lambda disk: None, wifi="up"):
    """The lines that a board with `settings` prints up to `text`; then it is switched off.

    prepare(disk) changes the board's files before it starts.
    """

    async def main():
        furnish(tmp_path, settings)
        prepare(tmp_path)
        board = Board(tmp_path, wifi=wifi)
        await board.start()
        try:
            return await console_until(board, text)
        finally:
            await board.stop()

    return asyncio.run(asyncio.wait_for(main(), PATIENCE))


@pytest.mark.parametrize(
    "content, expected",
    [
        ("{", "settings.json is not JSON: look for a missing quote or comma"),
        ("[]", "settings.json is not a JSON object"),
        ("{}", "settings.json: connection_string is missing"),
        (json.dumps({**SETTINGS, "wifi_sid": "x"}), "settings.json: wifi_sid is unknown"),
        (
            json.dumps({**SETTINGS, "wifi_ssid": 5}),
            "settings.json: wifi_ssid is not a text in quotes",
        ),
        (json.dumps({**SETTINGS, "wifi_ssid": ""}), "settings.json: wifi_ssid is empty"),
        (
            json.dumps({**SETTINGS, "watchdog": "9"}),
            'settings.json: watchdog is not from "10" to "3600", nor "off"',
        ),
    ],
)
def test_wrong_setting_is_one_error_line_of_boot_and_main(tmp_path, content, expected):
    def write(disk):
        (disk / "settings.json").write_text(content)

    lines = on_board(tmp_path, SETTINGS, "main:", write)
    assert lines == [f"boot: {expected}", f"main: {expected}"]


def test_missing_settings_are_one_error_line(tmp_path):
    lines = on_board(tmp_path, SETTINGS, "main:", lambda disk: (disk / "settings.json").unlink())
    assert lines[-1] == "main: settings.json is missing: iothub deploy brings it"


def test_wrong_connection_string_is_one_error_line_without_the_secret(tmp_path):
    wrong = SETTINGS["connection_string"].replace("AAAA", "topsecret!")
    lines = on_board(tmp_path, {**SETTINGS, "connection_string": wrong}, "main:")
    assert lines[-1] == "main: the shared access key is not base64"
    assert "topsecret" not in "".join(lines)
    assert "hunter2" not in "".join(lines)


def test_main_runs_without_wifi(tmp_path):
    (tmp_path / "lib").mkdir()
    lines = on_board_with_short_wifi(tmp_path)
    assert lines[0] == "boot: Wi-Fi: net not joined in 1 s: no ap found"
    assert lines[-1].startswith("iothub: ConnectionFailedError: tcp:")


def test_outbox_accepts_readings_before_the_first_connection(tmp_path):
    lines = on_board(tmp_path, {**SETTINGS, "outbox": "/outbox"}, "sent:")
    assert any(line.startswith("iothub: ConnectionFailedError: tcp:") for line in lines)
    assert not any(line.startswith("connected:") for line in lines)
    (file,) = (tmp_path / "outbox").iterdir()
    assert b'"temperature"' in file.read_bytes()


def on_board_with_short_wifi(tmp_path):
    """As on_board(), with a Wi-Fi deadline of 1 s instead of 20."""
    from tools.files import ROOT

    for path in (ROOT / "firmware").rglob("*.*"):
        if path.suffix in (".py", ".der"):
            copy = tmp_path / "lib" / path.relative_to(ROOT / "firmware")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes().replace(b"timeout=20):", b"timeout=1):"))
    return on_board(tmp_path, SETTINGS, "iothub: ", wifi="down")


def test_reboot_method_answers_restarts_and_reconnects(tmp_path):
    async def main():
        async with board_on_hub(tmp_path) as (board, service):
            await console_until(board, "sent:")
            answer = await service.invoke_method("d", "reboot", None)
            assert answer == (200, {"rebooting": True})
            await console_until(board, "started by: ")  # "connected:" may still wait to be read
            await console_until(board, "connected:")
            assert board.resets == 1
            status, payload = await service.invoke_method("d", "getStatus", None)
            assert status == 200
            assert payload["freeMemory"] > 0

    asyncio.run(asyncio.wait_for(main(), 2 * PATIENCE))


def test_invalid_telemetry_interval_is_ignored(tmp_path):
    async def main():
        async with board_on_hub(tmp_path, {"telemetryInterval": 0}) as (board, _):
            await console_until(board, "it stays 10")

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_log_shows_stages_and_losses_and_no_secret(tmp_path):
    def turn_on(disk):
        with (disk / "boot.py").open("a") as file:
            file.write("import iothub.log\niothub.log.on('debug')\n")

    async def main():
        async with board_on_hub(tmp_path, prepare=turn_on) as (board, service):
            lines = await console_until(board, "connected: ")
            await service.local.cut_connection("d")
            lines += await console_until(board, "state: connected")
            key = (await service.get_device("d"))["authentication"]["symmetricKey"]["primaryKey"]
            return lines, key

    lines, key = asyncio.run(asyncio.wait_for(main(), PATIENCE))
    told = [line.split(None, 1)[1] for line in lines if line.lstrip()[:1].isdigit()]
    order = ["info    state: connecting", "info    tcp: localhost:", "debug   read: "]
    order += ["info    connack: session present: False", "info    state: connected"]
    order += ["error   read: ConnectionDroppedError: ", "info    state: waiting"]
    order += ["info    state: connecting again in ", "info    connack: session present: "]
    assert any(line.startswith("debug   write: ") for line in told)
    remaining = iter(told)
    for wanted in order:
        assert any(line.startswith(wanted) for line in remaining), (wanted, told)
    text = "\n".join(lines)
    assert "Traceback (most recent call last):" in text
    assert key not in text
    assert "hunter2" not in text


def test_temperature_of_an_esp32_with_fahrenheit_only(tmp_path):
    def first(disk):
        with (disk / "boot.py").open("a") as file:
            file.write("import esp32\ndel esp32.mcu_temperature\n")
            file.write("esp32.raw_temperature = lambda: 122\n")

    async def main():
        async with board_on_hub(tmp_path, prepare=first) as (board, _):
            lines = await console_until(board, "sent:")
            assert '"temperature": 50' in lines[-1]

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
