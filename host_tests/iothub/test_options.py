"""iothub.options: defaults, and one clear error for each invalid option."""

from host_tests.support.raises import raises
from iothub.options import DEFAULTS, checked


def test_defaults_are_in_bounds_and_not_shared():
    options = checked({})
    options["window"] = 5
    assert DEFAULTS["window"] != 5


def test_given_options_are_used():
    assert checked({"keep_alive": 1177})["keep_alive"] == 1177


def test_unknown_option_is_named():
    assert "keepalive" in str(raises(TypeError, checked, {"keepalive": 5}))


def test_out_of_bounds_options_are_errors():
    for wrong in (
        {"keep_alive": 1178},
        {"keep_alive": 0},
        {"window": 0},
        {"window": 257},
        {"qos": 2},
        {"timeout": 0},
        {"operation_timeout": -1},
        {"max_inbound": 0},
    ):
        assert list(wrong)[0] in str(raises(ValueError, checked, wrong))
