"""host_tests.mutants: changes of a file, the draw, and a change that a test finds."""

import ast

from host_tests.mutants import __main__ as mutants
from host_tests.mutants.changes import changes
from tools.files import ROOT

SOURCE = '''"""A docstring, 1."""


def f(x: "0", limit=5) -> 7:
    """Another one: x and 2."""
    if x > 0 and not limit:
        print("text", 3)
        return x + 1
    raise ValueError("no %d" % 4)
'''


def test_changes_leave_texts_for_people_alone():
    told = [str(change) for change in changes(SOURCE)]
    assert told == [
        "5  ->  6",
        "5  ->  4",
        "x > 0 and not limit  ->  x > 0 or not limit",
        "x > 0 and not limit  ->  x > 0",
        "x > 0  ->  x >= 0",
        "0  ->  1",
        "0  ->  -1",
        "not limit  ->  limit",
        "return x + 1  ->  return None",
        "x + 1  ->  x - 1",
        "1  ->  2",
        "1  ->  0",
    ]


def test_each_change_is_one_and_can_be_compiled():
    for change in changes(SOURCE):
        assert change.text != SOURCE
        ast.parse(change.text)
        changed = [
            a != b for a, b in zip(SOURCE.split("\n"), change.text.split("\n"), strict=True)
        ]
        assert sum(changed) == 1


def test_seed_draws_the_same_again():
    area = mutants.AREAS["protocol"]
    first, again, other = (
        [(path, str(change)) for path, change in mutants.draw(ROOT, area, 5, seed)]
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_each_area_has_changes_and_no_file_is_in_two():
    seen = set()
    for area in mutants.AREAS.values():
        paths = {path for path, _ in mutants.candidates(ROOT, area)}
        assert paths
        assert not paths & seen
        seen |= paths


def test_change_that_a_test_notices_is_found_and_the_checkout_stays(tmp_path):
    root = mutants.copied(tmp_path / "copy")
    path = root / "firmware" / "iothub" / "sas.py"
    before = (ROOT / "firmware" / "iothub" / "sas.py").read_text()
    area = mutants.Area(("firmware/iothub/sas.py",), (("host_tests/iothub/test_sas.py",),))
    assert mutants.outcome(root, area) == "lived"
    path.write_text(before.replace('b"\\x36"', 'b"\\x37"'))
    assert mutants.outcome(root, area) == "found"
    assert (ROOT / "firmware" / "iothub" / "sas.py").read_text() == before


def test_change_that_hangs_is_found_by_time_out(tmp_path, monkeypatch):
    monkeypatch.setattr(mutants, "PER_TEST", 0.2)
    (tmp_path / "test_loop.py").write_text("def test_loop():\n    while True:\n        pass\n")
    area = mutants.Area((), (("test_loop.py",),))
    assert mutants.outcome(tmp_path, area) == "found by time-out"


def test_own_tests_of_a_module_come_first():
    (tests,) = mutants.own_tests(ROOT, ROOT / "firmware" / "iothub" / "mqtt" / "topics.py")
    assert tests.endswith("host_tests/iothub/mqtt/test_topics.py")
    tests = mutants.own_tests(ROOT, ROOT / "firmware" / "iothub" / "outbox" / "__init__.py")
    assert [name.rpartition("/")[2] for name in tests] == [
        "test_outbox.py",
        "test_outbox_hypothesis.py",
    ]
    (tests,) = mutants.own_tests(ROOT, ROOT / "tools" / "doctor.py")
    assert tests.endswith("host_tests/deploy/test_doctor.py")


def test_tests_of_its_folder_stand_for_a_module_without_tests_of_its_own():
    tests = mutants.own_tests(ROOT, ROOT / "firmware" / "iothub" / "amqp" / "composites.py")
    folder = ROOT / "host_tests" / "iothub" / "amqp"
    assert tests == tuple(map(str, sorted(folder.glob("test_*.py"))))
