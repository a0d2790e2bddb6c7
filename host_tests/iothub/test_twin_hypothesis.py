"""iothub.twin against JSON merge patch (RFC 7396), implemented again."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from iothub.twin import DesiredProperties, difference, merge

NAMES = st.sampled_from(["a", "b", "c", "d"])
LEAVES = st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "x", 1.5]) | st.just([1])
VALUES = st.recursive(
    LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=9
)
SECTIONS = st.dictionaries(NAMES, VALUES, max_size=4)
PATCHES = st.recursive(
    LEAVES | st.none(), lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=9
)


def rfc7396(target, patch):
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = rfc7396(result.get(name), value)
    return result


def same(one, other):
    """Whether two values are equal and of equal types: in JSON 1 is not true."""
    return repr_of(one) == repr_of(other)


def repr_of(value):
    if isinstance(value, dict):
        return {name: repr_of(inner) for name, inner in value.items()}
    return repr(value)


@given(SECTIONS, st.dictionaries(NAMES, PATCHES, max_size=4))
def test_merge_equals_rfc_7396(section, patch):
    expected = rfc7396(section, patch)
    merge(section, copy.deepcopy(patch))
    assert same(section, expected)


@given(SECTIONS, SECTIONS)
def test_difference_leads_from_old_to_new(old, new):
    assert same(rfc7396(old, difference(old, new)), new)


@given(SECTIONS)
def test_no_difference_is_an_empty_patch(section):
    assert difference(section, copy.deepcopy(section)) == {}


@given(st.lists(st.dictionaries(NAMES, PATCHES, max_size=3), max_size=8), st.data())
def test_program_that_applies_all_patches_has_the_hubs_section(patches, data):
    """Patches arrive live, are lost while offline, or cross with a requested twin."""
    hub, program, desired = {"$version": 1}, {}, DesiredProperties()
    desired.apply_snapshot(dict(hub))
    for number, patch in enumerate(patches):
        hub = {**rfc7396(hub, patch), "$version": number + 2}
        fate = data.draw(st.sampled_from(["told", "lost", "crossing"]))
        told = {**patch, "$version": number + 2}
        if fate == "crossing":
            desired.begin_sync()
            assert desired.apply_patch(told) == []
            changes = desired.apply_snapshot(copy.deepcopy(hub))
        elif fate == "lost":
            continue
        else:
            changes = desired.apply_patch(told)
            if changes is None:
                desired.begin_sync()
                changes = desired.apply_snapshot(copy.deepcopy(hub))
        for change in changes:
            merge(program, copy.deepcopy(change))
    desired.begin_sync()
    for change in desired.apply_snapshot(copy.deepcopy(hub)):
        merge(program, change)
    program.pop("$version", None)
    hub.pop("$version")
    assert same(program, hub)
