"""iothub.twin: merges, differences, and the order of desired changes."""

from host_tests.support.raises import raises
from iothub.twin import DesiredProperties, desired_section, difference, merge


def test_merge():
    section = {"a": 1, "b": {"c": 1, "d": 2}, "e": {"f": 1}}
    merge(section, {"a": None, "b": {"c": None, "x": {"y": None, "z": 1}}, "e": 5, "n": {}})
    assert section == {"b": {"d": 2, "x": {"z": 1}}, "e": 5, "n": {}}


def test_difference_is_the_smallest_patch():
    old = {"same": {"x": [1]}, "gone": 1, "inner": {"a": 1, "b": 2}, "kind": 1}
    new = {"same": {"x": [1]}, "inner": {"a": 1, "b": 3}, "kind": True, "new": {}}
    assert difference(old, new) == {"gone": None, "inner": {"b": 3}, "kind": True, "new": {}}
    assert difference(old, old) == {}


def test_first_section_is_reported_whole_unless_empty():
    desired = DesiredProperties()
    desired.begin_sync()
    assert desired.apply_snapshot({"a": 1, "$version": 3}) == [{"a": 1, "$version": 3}]
    assert DesiredProperties().apply_snapshot({"$version": 1}) == []


def test_patches_are_reported_once_and_in_order():
    desired = DesiredProperties()
    desired.apply_snapshot({"$version": 1})
    assert desired.apply_patch({"a": 1, "$version": 2}) == [{"a": 1, "$version": 2}]
    assert desired.apply_patch({"a": 1, "$version": 2}) == []
    assert desired.apply_patch({"a": 0, "$version": 1}) == []


def test_version_gap_requests_the_whole_section():
    desired = DesiredProperties()
    desired.apply_snapshot({"$version": 1})
    assert desired.apply_patch({"b": 1, "$version": 3}) is None
    desired.begin_sync()
    assert desired.apply_snapshot({"a": 1, "b": 1, "$version": 3}) == [
        {"a": 1, "b": 1, "$version": 3}
    ]


def test_offline_changes_are_reported_as_a_difference():
    desired = DesiredProperties()
    desired.apply_snapshot({"a": 1, "b": {"c": 1}, "$version": 1})
    desired.apply_patch({"b": {"c": 2}, "$version": 2})
    desired.begin_sync()
    assert desired.apply_snapshot({"b": {"c": 2, "d": 3}, "$version": 4}) == [
        {"a": None, "b": {"d": 3}, "$version": 4}
    ]
    desired.begin_sync()
    assert desired.apply_snapshot({"b": {"c": 2, "d": 3}, "$version": 4}) == []


def test_patches_during_a_read_are_applied_after_it():
    desired = DesiredProperties()
    desired.begin_sync()
    assert desired.apply_patch({"a": 2, "$version": 2}) == []
    assert desired.apply_patch({"a": 3, "$version": 3}) == []
    assert desired.apply_snapshot({"a": 2, "$version": 2}) == [
        {"a": 2, "$version": 2},
        {"a": 3, "$version": 3},
    ]


def test_held_patches_are_bounded():
    desired = DesiredProperties()
    desired.begin_sync()
    for version in range(2, 1000):
        desired.apply_patch({"$version": version})
    assert len(desired._held) <= 16


def test_invalid_patches_are_value_errors():
    for patch in ([], 5, {"a": 1}, {"$version": "2"}, None):
        raises(ValueError, DesiredProperties().apply_patch, patch)
    for twin in ([], {}, {"desired": 5}, {"desired": {}}):
        raises(ValueError, desired_section, twin)
    assert desired_section({"desired": {"$version": 1}}) == {"$version": 1}


def test_unreadable_section_delays_no_patch():
    desired = DesiredProperties()
    desired.begin_sync()
    assert desired.apply_patch({"a": 1, "$version": 2}) == []
    assert desired.cancel_sync() == [{"a": 1, "$version": 2}]
    assert desired.apply_patch({"b": 1, "$version": 3}) == [{"b": 1, "$version": 3}]


def test_changes_known_before_a_restart_are_not_repeated():
    desired = DesiredProperties()
    desired.known_version = 7
    desired.begin_sync()
    assert desired.apply_snapshot({"a": 1, "$version": 7}) == []
    assert desired.apply_patch({"a": 2, "$version": 8}) == [{"a": 2, "$version": 8}]
    assert desired.section["$version"] == 8
    other = DesiredProperties()
    other.known_version = 7
    other.begin_sync()
    assert other.apply_snapshot({"a": 1, "$version": 9}) == [{"a": 1, "$version": 9}]
