"""tools.hub.core.twins: the bounds of a section."""

import pytest

from tools.hub.core import twins
from tools.hub.core.errors import HubError


def report(letter, members):
    """A section with so many texts of 4000 such letters."""
    patch = {f"member{number}": letter * 4000 for number in range(members)}
    return twins.patched(twins.new_section("now"), patch, "now", "reported")


@pytest.mark.parametrize(("letter", "fits"), [("x", 8), ("ü", 4), ("漢", 2)])
def test_section_holds_32_kb_of_utf_8(letter, fits):
    assert report(letter, fits)["version"] == 2
    with pytest.raises(HubError) as refused:
        report(letter, fits + 1)
    assert refused.value.status == 413
