"""The hub's query language: results, and refusals of anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.hub.core.errors import HubError
from tools.hub.core.query import Query

TWIN = {
    "deviceId": "dev-1",
    "status": "enabled",
    "tags": {"floor": 3, "name": "it's", "flag": True, "none": None},
    "properties": {"reported": {"temperature": 21.5, "$version": 4}, "desired": {}},
}


@pytest.mark.parametrize(
    "condition, expected",
    [
        ("deviceId = 'dev-1'", True),
        ('deviceId = "dev-1"', True),
        ("deviceId != 'dev-1'", False),
        ("deviceId <> 'x' and status = 'enabled'", True),
        ("tags.floor > 2 AND tags.floor <= 3", True),
        ("tags.floor = 3.0", True),
        ("tags.floor = '3'", False),
        ("tags.flag = 1", False),
        ("tags.flag = TRUE", True),
        ("tags.none = null", True),
        (r"tags.name = 'it\'s'", True),
        ("properties.reported.temperature >= 21.5", True),
        ("properties.reported.$version = 4", True),
        ("tags.gone = 1", False),
        ("tags.gone != 1", False),
        ("NOT tags.gone = 1", True),
        ("is_defined(tags.floor) and not is_defined(tags.gone)", True),
        ("deviceId in ['a', 'dev-1']", True),
        ("deviceId IN ['a']", False),
        ("tags.floor < 'a'", False),
        ("(status = 'x' or status = 'enabled') and tags.floor = 3", True),
        ("status = 'x' or status = 'enabled' and tags.floor = 4", False),
    ],
)
def test_condition(condition, expected):
    assert Query(f"SELECT * FROM devices WHERE {condition}").matches(TWIN) is expected


def test_source_and_fields():
    assert Query("select * from devices").matches(TWIN)
    assert not Query("SELECT * FROM devices").modules
    assert Query("SELECT * FROM devices.modules").modules
    query = Query("SELECT deviceId, tags.floor, tags.gone FROM devices")
    assert query.project(TWIN) == {"deviceId": "dev-1", "floor": 3}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT",
        "SELECT * FROM jobs",
        "SELECT * FROM devices WHERE",
        "SELECT * FROM devices WHERE a",
        "SELECT * FROM devices WHERE a = b",
        "SELECT * FROM devices WHERE a = 'b",
        "SELECT * FROM devices WHERE (a = 1",
        "SELECT * FROM devices garbage",
        "DROP TABLE devices",
        "SELECT * FROM devices WHERE " + "(" * 5000,
        "SELECT * FROM devices WHERE a ~ 1",
    ],
)
def test_invalid_query_is_refused(text):
    with pytest.raises(HubError) as refusal:
        Query(text)
    assert refusal.value.status == 400


@given(st.text(alphabet="SELECT*FROMdevices WHERE()[]=<>!,'\"a.1$", max_size=80))
def test_hostile_text_is_at_most_refused(text):
    try:
        Query("SELECT * FROM devices WHERE " + text).matches(TWIN)
    except HubError:
        pass
