"""board.start: a program that fails comes back by itself, and a person gets into the REPL."""

import asyncio
import re
import subprocess

import pytest

from host_tests.support.board_on_hub import PATIENCE, SETTINGS, board_on_hub, console_until
from host_tests.support.virtual_board import virtual_board
from tools.board.disk import furnish
from tools.files import ROOT, STANDINS
from tools.interpreter import environment, interpreter

# Added to boot.py: a watchdog of 3 s in place of 60.
SHORT_WATCHDOG = """
import machine
_Real = machine.WDT

def _short(timeout):
    return _Real(timeout=timeout // 20)

machine.WDT = _short
"""
FAST_RESTART = """
import board.start
board.start.FIRST_WAIT = 1
"""


def prepared(boot="", main=()):
    """What prepare(disk) does: add to boot.py, and replace pairs of texts in main.py."""

    def prepare(disk):
        with (disk / "boot.py").open("a") as file:
            file.write(boot)
        text = (disk / "main.py").read_text()
        for old, new in main:
            assert old in text
            text = text.replace(old, new)
        (disk / "main.py").write_text(text)

    return prepare


def on_board(tmp_path, scenario, boot="", main=(), desired=None, **settings):
    async def test():
        found = board_on_hub(tmp_path, desired, prepared(boot, main), **settings)
        async with found as (board, service):
            await scenario(board, service)

    asyncio.run(asyncio.wait_for(test(), 2 * PATIENCE))


async def reset_cause(service, cause):
    """Wait until the device has reported why it started."""
    while True:
        twin = await service.get_twin("d")
        if twin["properties"]["reported"].get("health", {}).get("resetCause") == cause:
            return
        await asyncio.sleep(0.05)


# -- readings -----------------------------------------------------------------------------------


def test_reading_that_fails_is_reported_and_tried_again(tmp_path):
    """The sensor fails twice: once as a bus does, once as a driver does."""
    boot = """
import esp32
_errors = [OSError(5), Exception("checksum error")]

def _reading():
    if _errors:
        raise _errors.pop(0)
    return 7

esp32.mcu_temperature = _reading
"""

    async def scenario(board, _):
        await console_until(board, "iothub: OSError: [Errno 5] EIO")
        await console_until(board, "iothub: Exception: checksum error")
        lines = await console_until(board, "sent:")
        assert '"temperature": 7' in lines[-1]
        assert board.resets == 0

    on_board(tmp_path, scenario, boot, desired={"telemetryInterval": 1})


def test_uptime_is_right_before_and_after_the_clock_is_set(tmp_path):
    first = """        await send(reading)
            import machine
            machine.RTC().datetime((2040, 1, 1, 6, 0, 0, 0, 0))
"""

    async def scenario(board, service):
        before = await console_until(board, "sent:")
        after = await console_until(board, "sent:")
        uptimes = [int(re.search('"uptime": ([0-9]+)', b[-1])[1]) for b in (before, after)]
        assert 0 <= uptimes[0] <= uptimes[1] < PATIENCE
        _, payload = await service.invoke_method("d", "getStatus", None)
        assert uptimes[1] <= payload["uptime"] < PATIENCE

    main = [("        await send(reading)\n", first)]
    on_board(tmp_path, scenario, main=main, desired={"telemetryInterval": 1})


# -- restarts -----------------------------------------------------------------------------------


def test_unexpected_error_restarts_the_board_and_is_reported(tmp_path):
    """Twice in a row. The wait of 4 s is longer than the watchdog's 3."""
    failing = """await send(reading)
            if start.reset.failures < 2:
                raise RuntimeError("no such\\nbus, sig=secret")"""

    async def scenario(board, service):
        lines = await console_until(board, "started by: reset")
        assert "RuntimeError: no such" in lines
        assert "main: the board restarts in 4 s; Ctrl-C leads to the REPL" in lines
        assert lines[-1] == "started by: reset: RuntimeError: no such bus, sig=***"
        lines = await console_until(board, "started by: reset")
        assert "main: the board restarts in 8 s; Ctrl-C leads to the REPL" in lines
        assert lines[-1] == "started by: reset: RuntimeError: no such bus, sig=*** (2 in a row)"
        await console_until(board, "sent:")
        assert board.resets == 2
        await reset_cause(service, lines[-1].partition(": ")[2])

    boot = SHORT_WATCHDOG + FAST_RESTART.replace("= 1", "= 4")
    on_board(tmp_path, scenario, boot, [("await send(reading)", failing)])


def test_error_of_the_wifi_driver_does_not_keep_main_from_running(tmp_path):
    broken = """
def _broken(*_):
    raise RuntimeError("Wifi Unknown Error")

wifi.connect = _broken
"""

    def prepare(disk):
        text = (disk / "boot.py").read_text()
        line = "from board import clock, settings, wifi\n"
        assert line in text
        (disk / "boot.py").write_text(text.replace(line, line + broken))

    async def test():
        async with board_on_hub(tmp_path, prepare=prepare) as (board, _):
            lines = await console_until(board, "started by: ")
            assert "boot: Wifi Unknown Error" in lines

    asyncio.run(asyncio.wait_for(test(), 2 * PATIENCE))


def test_dead_task_restarts_the_board(tmp_path):
    dying = """async def die():
    {}["gone"]


async def main():
    if not start.reset.failures:
        asyncio.create_task(die())
"""

    async def scenario(board, service):
        lines = await console_until(board, "started by: reset")
        assert any(line.startswith("KeyError") for line in lines)
        assert lines[-1] == "started by: reset: KeyError: gone"
        await console_until(board, "sent:")

    on_board(tmp_path, scenario, FAST_RESTART, [("async def main():\n", dying)])


@pytest.fixture
def run_code(tmp_path):
    """run_code(code): what it prints, in MicroPython with the stand-ins."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "wifi").write_text("up")

    def run(code, cause=2):
        done = subprocess.run(
            [interpreter(), "-c", code],
            env={
                **environment(STANDINS, ROOT / "firmware"),
                "STANDIN_STATE": str(state),
                "STANDIN_CAUSE": str(cause),
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    return run


RESTART = """
import machine, time
from board import reset, start
time.sleep = lambda seconds: print("waits", seconds)
machine.reset = lambda: print("resets")
async def main():
    {}
{}
start.run(main)
print("failures", reset.failures)
"""


def failing(body="raise OSError(5)", before=""):
    return RESTART.format(body, before)


def test_wait_before_a_restart_grows_up_to_its_cap(run_code, tmp_path):
    waits = []
    for _ in range(10):
        lines = run_code(failing())
        waits += [line for line in lines if line.startswith("waits")]
        assert lines[-2] == "resets"
    expected = [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]
    assert waits == [f"waits {seconds}" for seconds in expected]
    assert (tmp_path / "overrun.txt").read_text() == "OSError: [Errno 5] EIO (10 in a row)\n10"


def test_wait_begins_anew_after_a_long_run_and_after_power_on(run_code):
    for _ in range(3):
        run_code(failing())
    assert "waits 40" in run_code(failing())
    assert "waits 5" in run_code(failing(), cause=1)
    assert "waits 10" in run_code(failing())
    long = "start.uptime = iter([0, 601]).__next__"
    assert "waits 5" in run_code(failing(before=long))


def test_board_restarts_without_a_flash_to_write_to(run_code, tmp_path):
    full = "import builtins\ndef _open(*_): raise OSError(28)\nbuiltins.open = _open\n"
    lines = run_code(failing(before=full))
    assert lines[-2:] == ["resets", "failures 0"]


def test_cancelled_main_restarts_the_board(run_code):
    lines = run_code(failing("import asyncio; raise asyncio.CancelledError"))
    assert lines[-2] == "resets"


def test_end_of_main_leads_to_the_repl(run_code):
    assert run_code(failing("pass")) == ["failures 0"]


def test_wrong_setting_leads_to_the_repl(run_code):
    lines = run_code(failing("start.make_client()"))
    assert lines == ["main: settings.json is missing: iothub deploy brings it", "failures 0"]


def test_value_error_of_the_program_is_no_wrong_setting(run_code):
    assert "resets" in run_code(failing("int('x')"))


# -- the watchdog and the REPL ------------------------------------------------------------------

PRINTS_WDT = """
import machine

class _WDT:
    def __init__(self, timeout):
        print("WDT", timeout)

    def feed(self):
        pass

machine.WDT = _WDT
"""


@pytest.mark.parametrize(
    "settings, expected", [({}, "WDT 60000"), ({"watchdog": "off"}, None)], ids=["default", "off"]
)
def test_watchdog_is_on_unless_the_settings_turn_it_off(tmp_path, settings, expected):
    async def scenario(board, service):
        lines = await console_until(board, "sent:")
        assert [line for line in lines if line.startswith("WDT")] == ([expected] * bool(expected))
        await reset_cause(service, "power on")  # in any case

    on_board(tmp_path, scenario, PRINTS_WDT, **settings)


FAILING_MAIN = """
import asyncio
from board import start

async def main():
    start.make_client()
    print("begun")
    await asyncio.sleep(0.1)
    raise RuntimeError("again")

start.run(main)
"""
BUSY_MAIN = FAILING_MAIN.replace("0.1", "1000000")
# Longer than the watchdog's 3 s.
WORK = b"import time; time.sleep(4); print('al' + 'ive')"


def running_board(tmp_path, main):
    """A virtual board whose main.py is `main`; its watchdog has 3 s."""
    flash = tmp_path / "flash"
    flash.mkdir()
    furnish(flash, SETTINGS)
    prepared(SHORT_WATCHDOG)(flash)
    (flash / "main.py").write_text(main)
    return virtual_board(flash)


@pytest.mark.parametrize("main", [BUSY_MAIN, FAILING_MAIN], ids=["running", "failing"])
def test_ctrl_c_leads_to_a_repl_that_the_watchdog_leaves_alone(tmp_path, main):
    with running_board(tmp_path, main) as board, board.opened() as typist:
        typist.type(b"\r\x03")
        typist.expect(b">>> ")
        typist.type(b"\x04")  # from here on all is seen
        typist.expect(b"begun\r\n")
        if main is FAILING_MAIN:
            typist.expect(b"Ctrl-C leads to the REPL\r\n")
        typist.type(b"\x03")
        typist.expect(b"KeyboardInterrupt: \r\n")
        typist.expect(b">>> ")
        typist.type(WORK + b"\r")
        typist.expect(b"alive\r\n>>> ")
        typist.type(b"\x04")  # the program feeds it again
        typist.expect(b"begun\r\n")
        if main is BUSY_MAIN:
            typist.type(b"\x03")
            typist.expect(b">>> ")
        assert b"WDT" not in typist.said


def test_mpremote_works_for_longer_than_the_watchdog(tmp_path):
    with running_board(tmp_path, BUSY_MAIN) as board:
        with board.opened() as typist:
            typist.type(b"\x03")
            typist.expect(b">>> ")
            typist.type(b"\x04")
            typist.expect(b"begun\r\n")
        assert board.mpremote("exec", WORK.decode()) == "alive\r\n"
        assert board.mpremote("resume", "exec", WORK.decode()) == "alive\r\n"


def test_mpremote_gets_into_a_board_that_fails_again_and_again(tmp_path):
    with running_board(tmp_path, FAILING_MAIN) as board:
        for _ in range(3):
            assert board.mpremote("exec", "print('in')") == "in\r\n"
            board.mpremote("reset")


def test_watchdog_bites_again_once_the_program_runs_again(tmp_path):
    """After Ctrl-C and Ctrl-D, the timer feeds it no longer."""
    blocked = BUSY_MAIN.replace(
        '    print("begun")\n',
        """    print("begun")
    await asyncio.sleep(1)
    import os
    if "block" in os.listdir():
        os.remove("block")
        while True:
            pass
""",
    )
    with running_board(tmp_path, blocked) as board, board.opened() as typist:
        typist.type(b"\r\x03")
        typist.expect(b">>> ")
        typist.type(b"open('block', 'w').close()\r")
        typist.expect(b">>> ")
        typist.type(b"\x04")
        typist.expect(b"begun\r\n")
        typist.expect(b"(TG1WDT_SYS_RESET)\r\n")
        typist.expect(b"started by: watchdog\r\n")


FULL_HEAP = """
import asyncio
from board import watchdog

class Client:
    full = 0

    def status(self):
        Client.full += 1
        if Client.full % 2:
            raise MemoryError
        return {"timeout": 20, "lastTick": 0, "connectingSince": None}

async def main():
    task = asyncio.create_task(watchdog.Watchdog(Client(), 0.01).run())
    while Client.full < 10:
        await asyncio.sleep(0.001)
    print("done", task.done())

asyncio.run(main())
"""


def test_watchdog_survives_a_full_heap_and_does_not_feed_meanwhile(run_code):
    lines = run_code(PRINTS_WDT.replace("        pass", "        print('fed')") + FULL_HEAP)
    assert lines[-1] == "done False"
    assert 5 <= lines.count("fed") <= 6  # at first, and after every second look
