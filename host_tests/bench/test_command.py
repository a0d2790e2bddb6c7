"""python -m tools bench: choice of measurements, judgement of goals, failures."""

import sys
import types

import pytest

from tools.__main__ import main
from tools.bench import command, report
from tools.bench.report import Section
from tools.bench.rows import OURS, Goal, Row

TIMED, COUNTED = Goal(10, slack=2), Goal(3)


def section(timed, counted):
    rows = [Row("time", "ms", {OURS: [timed]}, (TIMED,))]
    rows.append(Row("count", "bytes", {OURS: [counted]}, (COUNTED,)))
    return Section("made-up", "", rows)


def missed(first, *again):
    """(the goals of `first` that are missed, how many measurements of `again` were made)"""
    left = list(again)
    found = command.missed(first, lambda: left.pop(0))
    return [row.what for row, _, _ in found], len(again) - len(left)


def test_timed_goal_counts_as_missed_only_when_missed_twice():
    assert missed(section(20, 3)) == ([], 0)
    assert missed(section(21, 3), section(19, 3)) == ([], 1)
    assert missed(section(21, 3), section(21, 3)) == (["time"], 1)


def test_counted_goal_counts_as_missed_at_once():
    assert missed(section(1, 4)) == (["count"], 0)
    assert missed(section(21, 4), section(1, 3)) == (["count"], 1)


def test_goal_without_a_second_measurement_stays_missed():
    assert missed(section(21, 3), None) == (["time"], 1)
    assert missed(section(21, 3), Section("made-up", "", [])) == (["time"], 1)


@pytest.fixture
def fake_measurement(monkeypatch):
    """fake_measurement(name, rows or an exception): add a measurement to the bench."""

    def make(name, result):
        async def measure(rounds, quick=False):
            if isinstance(result, Exception):
                raise result
            return result

        module = types.ModuleType(f"tools.bench.{name}", "How.")
        module.measure = measure
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(command, "MEASUREMENTS", (*command.MEASUREMENTS, name))

    return make


def test_failed_measurement_does_not_stop_the_others(fake_measurement, capsys):
    fake_measurement("broken", OSError("no broker"))
    fake_measurement("absent", [])
    fake_measurement("whole", section(1, 3).rows)
    assert main(["bench", "--only", "broken,absent,whole"]) == 1
    said = capsys.readouterr()
    assert "broken failed: OSError: no broker\n" in said.err
    assert "whole" in said.out


def test_quick_run_prints_one_line_for_each_missed_goal(fake_measurement, capsys):
    fake_measurement("slow", section(30, 3).rows)
    assert main(["bench", "--quick", "--only", "slow"]) == 1
    said = capsys.readouterr()
    assert "missed: time: 30 ms, not ≤ 10\n" in said.err
    assert "2 goals judged, 1 missed" in said.out
    assert main(["bench", "--only", "slow"]) == 0


def test_unknown_name_is_an_error_that_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--only", "telemetry,nonsense"])
    said = capsys.readouterr().err
    assert "'nonsense'" in said
    assert "telemetry, windows" in said


def test_write_with_only_is_refused(capsys):
    before = report.PAGE.stat().st_mtime_ns if report.PAGE.exists() else None
    assert main(["bench", "--write", "--only", "codec"]) == 2
    assert "--only" in capsys.readouterr().err
    assert before == (report.PAGE.stat().st_mtime_ns if report.PAGE.exists() else None)
