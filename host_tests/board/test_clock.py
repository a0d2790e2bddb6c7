"""board.clock, in MicroPython with the stand-ins: NTP, and the floor where it does not answer."""

import subprocess
import time

import pytest

from tools.board import ROOT, environment, interpreter


@pytest.fixture
def run(tmp_path):
    """run(code): what it prints with board.clock imported; the RTC is tmp_path/rtc."""

    def run(code, wifi="up"):
        return subprocess.run(
            [interpreter(), "-c", f"from board import clock, clock_check; {code}"],
            env={
                **environment(ROOT / "firmware"),
                "STANDIN_WIFI": wifi,
                "STANDIN_RTC": str(tmp_path / "rtc"),
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        ).stdout.strip()

    return run


def test_a_clock_that_ntp_confirms_is_right(run):
    assert run("print(clock_check.check())") == "False"


def test_without_an_answer_nobody_can_tell(run):
    assert run("clock.remember(); print(clock_check.check())", wifi="down") == "None"


def test_without_an_answer_the_saved_time_is_the_floor(run, tmp_path):
    tomorrow = int(time.time()) + 86400
    (tmp_path / "clock.txt").write_text(str(tomorrow))
    assert run("print(clock_check.check())", wifi="down") == "True"
    year, month, day, weekday, hour, minute, second, _ = eval((tmp_path / "rtc").read_text())
    expected = time.gmtime(tomorrow)
    assert (year, month, day, hour, minute, second, weekday) == expected[:7]


@pytest.mark.parametrize("torn", ["", "17x"])
def test_a_torn_file_is_no_floor(run, tmp_path, torn):
    (tmp_path / "clock.txt").write_text(torn)
    assert run("print(clock_check.check())", wifi="down") == "None"
    run("clock.remember()")
    assert abs(int((tmp_path / "clock.txt").read_text()) - time.time()) < 3600


def test_the_time_is_saved_once_a_day(run, tmp_path):
    saved = int(time.time()) - 80000
    (tmp_path / "clock.txt").write_text(str(saved))
    run("clock.remember()")
    assert (tmp_path / "clock.txt").read_text() == str(saved)
