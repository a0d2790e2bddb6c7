"""docs/performance.md and its picture, made from fixed rows."""

import struct

from tools.bench import picture, report, telemetry, windows
from tools.bench.rows import OURS, Goal, Row

RATE = Row(
    telemetry.what(32),
    "messages a second",
    {OURS: [900, 1000, 5000], "peer": [500], "raw": [1500, 1600, 2500]},
    (Goal(2, at_least=True, against="peer"), Goal(0.7, at_least=True, against="raw")),
    "the raw loop does nothing else",
)
HEAP = Row("heap", "bytes", {OURS: [150.25], "peer": [0]}, (Goal(200),))
PLAIN = Row("time", "ms", {OURS: [-0.001], "ours, again": [2]})


def page(*rows):
    return report.markdown([report.Section("loop_gap", "How it is done.", rows)], ["a machine"])


def test_row_shows_medians_ratios_and_reached_goals():
    text = page(RATE, HEAP)
    assert "| what | unit | ours | peer | raw | goal: reached |\n| --- |" in text
    told = "| messages a second | 1,000 | 500 (2) | 1,600 (0.62) |"
    assert f"{told} ≥ 2 × peer: yes (1.8 to 1.8)<br>≥ 0.7 × raw: no (0.6 to 2) |" in text
    assert "| heap | bytes | 150.2 | 0 |  | ≤ 200: yes |" in text


def test_page_shows_the_machine_the_method_and_the_notes():
    text = page(RATE)
    assert "- a machine\n" in text
    assert "## Loop gap\n\nHow it is done. ([source](../tools/bench/loop_gap.py))" in text
    assert "\n- the raw loop does nothing else.\n" in text


def test_note_names_its_rows_unless_it_applies_to_all():
    assert f"\n- {RATE.what}: the raw loop does nothing else.\n" in page(RATE, HEAP)


def test_missed_goals_are_listed_at_the_end_with_the_reason():
    end = page(RATE, HEAP).partition("## What was not reached, and why\n\n")[2]
    missed, limit = end.strip().split("\n")
    told = f"- {RATE.what}: 0.62, not ≥ 0.7 × raw (0.6 to 2): "
    assert missed == f"{told}the raw loop does nothing else."
    assert "word size" in limit


def test_table_without_goals_has_no_goal_column():
    text = page(PLAIN)
    assert "| what | unit | ours | ours, again |\n" in text
    assert "| time | ms | 0 | 2 |\n" in text


def test_machine_is_described_without_names_or_paths():
    text = "\n".join(report.machine())
    assert "MicroPython 1." in text
    assert "cores" in text
    assert "/" not in text.replace("GNU/Linux", "")


def test_picture_is_a_png_of_two_panels(tmp_path):
    rows = [RATE, Row(windows.what(0.05, 4), "share", {OURS: [0.9], "raw": [1]})]
    for shown in (rows, []):
        path = tmp_path / "docs" / f"{len(shown)}.png"
        picture.draw(shown, path)
        data = path.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", data[16:24])
        assert (width, height) == (1100, 440)
