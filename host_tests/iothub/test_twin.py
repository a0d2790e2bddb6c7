"""iothub.twin: merges, differences, and the order of desired changes."""

from host_tests.support.raises import raises
from iothub.twin import Desired, desired_of, difference, merge


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
    desired = Desired()
    desired.expect()
    assert desired.whole({"a": 1, "$version": 3}) == [{"a": 1, "$version": 3}]
    assert Desired().whole({"$version": 1}) == []


def test_patches_are_reported_once_and_in_order():
    desired = Desired()
    desired.whole({"$version": 1})
    assert desired.patch({"a": 1, "$version": 2}) == [{"a": 1, "$version": 2}]
    assert desired.patch({"a": 1, "$version": 2}) == []
    assert desired.patch({"a": 0, "$version": 1}) == []


def test_version_gap_requests_the_whole_section():
    desired = Desired()
    desired.whole({"$version": 1})
    assert desired.patch({"b": 1, "$version": 3}) is None
    desired.expect()
    assert desired.whole({"a": 1, "b": 1, "$version": 3}) == [{"a": 1, "b": 1, "$version": 3}]


def test_offline_changes_are_reported_as_a_difference():
    desired = Desired()
    desired.whole({"a": 1, "b": {"c": 1}, "$version": 1})
    desired.patch({"b": {"c": 2}, "$version": 2})
    desired.expect()
    assert desired.whole({"b": {"c": 2, "d": 3}, "$version": 4}) == [
        {"a": None, "b": {"d": 3}, "$version": 4}
    ]
    desired.expect()
    assert desired.whole({"b": {"c": 2, "d": 3}, "$version": 4}) == []


def test_patches_during_a_read_are_applied_after_it():
    desired = Desired()
    desired.expect()
    assert desired.patch({"a": 2, "$version": 2}) == []
    assert desired.patch({"a": 3, "$version": 3}) == []
    assert desired.whole({"a": 2, "$version": 2}) == [
        {"a": 2, "$version": 2},
        {"a": 3, "$version": 3},
    ]


def test_held_patches_are_bounded():
    desired = Desired()
    desired.expect()
    for version in range(2, 1000):
        desired.patch({"$version": version})
    assert len(desired._held) <= 16


def test_invalid_patches_are_value_errors():
    for patch in ([], 5, {"a": 1}, {"$version": "2"}, None):
        raises(ValueError, Desired().patch, patch)
    for twin in ([], {}, {"desired": 5}, {"desired": {}}):
        raises(ValueError, desired_of, twin)
    assert desired_of({"desired": {"$version": 1}}) == {"$version": 1}


def test_unreadable_section_delays_no_patch():
    desired = Desired()
    desired.expect()
    assert desired.patch({"a": 1, "$version": 2}) == []
    assert desired.unread() == [{"a": 1, "$version": 2}]
    assert desired.patch({"b": 1, "$version": 3}) == [{"b": 1, "$version": 3}]


def test_changes_known_before_a_restart_are_not_repeated():
    desired = Desired()
    desired.known = 7
    desired.expect()
    assert desired.whole({"a": 1, "$version": 7}) == []
    assert desired.patch({"a": 2, "$version": 8}) == [{"a": 2, "$version": 8}]
    assert desired.section["$version"] == 8
    other = Desired()
    other.known = 7
    other.expect()
    assert other.whole({"a": 1, "$version": 9}) == [{"a": 1, "$version": 9}]
