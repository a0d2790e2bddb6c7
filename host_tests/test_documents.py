"""What the documents say is in the tests is there."""

import re

import pytest
from sources import ROOT

TESTS = ROOT / "host_tests"
NAMED = re.compile(r"`([\w/.-]+\.py)(?:::(\w+))?`")


@pytest.mark.parametrize("document", ["docs/faults.md", "README.md"])
def test_tests_that_are_named_exist(document):
    found = 0
    for path, test in NAMED.findall((ROOT / document).read_text()):
        file = TESTS / path
        if test:
            assert f"def {test}(" in file.read_text(), f"{path}::{test}"
            found += 1
        elif path.startswith(("firmware/test_", "faults/", "pure/", "board/", "deploy/")):
            assert file.exists(), path
            found += 1
    assert found > 20
