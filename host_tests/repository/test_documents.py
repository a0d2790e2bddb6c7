"""The documents: the tests they name exist, their links lead somewhere, the README stays short."""

import re
import subprocess
import sys

import pytest

from host_tests.support.sources import ROOT

TESTS = ROOT / "host_tests"
NAMED = re.compile(r"`([\w/.-]+\.py)(?:::(\w+))?`")
CHECKER = ROOT / "docs" / "check_links.py"


@pytest.mark.parametrize("document", ["docs/faults.md", "docs/features.md"])
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


def test_readme_has_at_most_200_lines():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def check_links(*arguments):
    """(exit status, lines) of the link checker."""
    command = [sys.executable, str(CHECKER), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr.splitlines()


def test_links_and_citations_lead_somewhere():
    assert check_links("--citations") == (0, [])


def test_link_checker_reports_what_leads_nowhere(tmp_path):
    docs, spec = "docs/", "spec "  # apart from what follows, or this file would cite pages itself
    (tmp_path / docs).mkdir()
    (tmp_path / "page.md").write_text(
        "# A page, `of` code\n"
        f"[good]({docs}other.md#one-1) [itself](#a-page-of-code) [site](https://example.com)\n"
        "`[code](none.md)` `tools/none.py`\n"
        "```\n[code](none.md)\n```\n"
        "[no file](none.md) ![no picture](none.png)\n"
        f"[no heading]({docs}other.md#two)\n"
    )
    (tmp_path / docs / "other.md").write_text("# One\n## One\n## Two words\n")
    (tmp_path / "code.py").write_text(
        f"# {docs}none.md\n# {docs}other.md, One\n# {docs}other.md, Two\n# {spec}iothub-mqtt\n"
        f"# {docs}other.md, Two\n# words, and more.\n"
    )
    broken = [
        "page.md:3: there is no file tools/none.py",
        "page.md:7: none.md: there is no such file",
        "page.md:7: none.png: there is no such file",
        f"page.md:8: {docs}other.md#two: there is no such heading",
        f"code.py:1: there is no page {docs}none.md",
    ]
    assert check_links("--root", tmp_path) == (1, broken)
    cited = [
        f"code.py:4: cites '{spec}iothub-mqtt', which is not here",
        f"code.py:3: {docs}other.md has no heading 'Two'",
    ]
    assert check_links("--root", tmp_path, "--citations") == (1, broken + cited)
