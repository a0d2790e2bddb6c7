"""The tests that the documents name exist."""

import re

import pytest

from host_tests.support.sources import ROOT

TESTS = ROOT / "host_tests"
NAMED = re.compile(r"`([\w/.-]+\.py)(?:::(\w+))?`")


@pytest.mark.parametrize("document", ["docs/faults.md", "README.md"])
def test_tests_named_in_documents_exist(document):
    found = 0
    for path, test in NAMED.findall((ROOT / document).read_text()):
        if not path.rpartition("/")[2].startswith("test_"):
            continue
        files = list(TESTS.rglob(path.removeprefix("host_tests/")))
        assert len(files) == 1, f"{path} is {len(files)} files"
        if test:
            assert f"def {test}(" in files[0].read_text(), f"{path}::{test}"
        found += 1
    assert found > 20
