"""board.clock in MicroPython: the time from NTP, and the earliest plausible time without it."""

import subprocess
import time

import pytest

from tools.files import ROOT, STANDINS
from tools.interpreter import environment, interpreter


@pytest.fixture
def run_code(tmp_path):
    """run_code(code, wifi, behind): what it prints with board.clock imported; the clock is
    `behind` seconds slow.
    """
    state = tmp_path / "state"
    state.mkdir()

    def run(code, wifi="up", behind=0):
        (state / "wifi").write_text(wifi)
        (state / "clock").write_text(str(-behind or 1))
        return subprocess.run(
            [interpreter(), "-c", f"from board import clock, clock_check; {code}"],
            env={**environment(STANDINS, ROOT / "firmware"), "STANDIN_STATE": str(state)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        ).stdout.strip()

    return run


def test_clock_that_ntp_confirms_is_not_changed(run_code):
    assert run_code("print(clock_check.check())") == "False"


def test_wrong_clock_is_set_from_ntp(run_code):
    said = run_code("print(clock_check.check()); import time; print(time.time())", behind=99999)
    was_wrong, now = said.split()
    assert was_wrong == "True"
    assert abs(int(now) - time.time()) < 60


def test_unknown_time_without_an_ntp_answer(run_code):
    assert run_code("clock.remember(); print(clock_check.check())", wifi="down") == "None"


def test_saved_time_is_the_minimum_without_an_ntp_answer(run_code, tmp_path):
    tomorrow = int(time.time()) + 86400
    (tmp_path / "clock.txt").write_text(str(tomorrow))
    said = run_code("print(clock_check.check()); import time; print(time.time())", wifi="down")
    was_wrong, now = said.split()
    assert was_wrong == "True"
    assert tomorrow <= int(now) < tomorrow + 60


@pytest.mark.parametrize("torn", ["", "17x"])
def test_torn_time_file_is_ignored(run_code, tmp_path, torn):
    (tmp_path / "clock.txt").write_text(torn)
    assert run_code("print(clock_check.check())", wifi="down") == "None"
    run_code("clock.remember()")
    assert abs(int((tmp_path / "clock.txt").read_text()) - time.time()) < 3600


def test_time_is_saved_once_a_day(run_code, tmp_path):
    saved = int(time.time()) - 80000
    (tmp_path / "clock.txt").write_text(str(saved))
    run_code("clock.remember()")
    assert (tmp_path / "clock.txt").read_text() == str(saved)
