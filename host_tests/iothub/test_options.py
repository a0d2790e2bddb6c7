"""iothub.options: defaults, and one clear error for each invalid option."""

from host_tests.support.raises import raises
from iothub.messages import Message
from iothub.options import DEFAULTS, checked, from_connection_string, parse_connection_string

KEY = "c2VjcmV0IGtleSBvZiBhIGRldmljZQ=="
DEVICE = "HostName=hub.azure-devices.net;DeviceId=dev1;SharedAccessKey=" + KEY


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


def test_will_with_what_mqtt_does_not_carry():
    will = Message("gone", content_type="text/plain")
    assert checked({"will": will})["will"] is will
    will.subject = "s"
    assert str(raises(ValueError, checked, {"will": will})) == "will: MQTT does not carry subject"


# -- connection strings -------------------------------------------------------------------------


def refused(text):
    """The words of the ValueError that a connection string raises."""
    return str(raises(ValueError, from_connection_string, text))


def test_key_with_equals_signs_and_spaces_around():
    assert parse_connection_string(" " + DEVICE + "; ")["SharedAccessKey"] == KEY


def test_wrong_strings_name_the_part_and_not_the_secret():
    assert "HostName" in refused("DeviceId=d;SharedAccessKey=" + KEY)
    assert "DeviceId" in refused("HostName=h;SharedAccessKey=" + KEY)
    assert "Hostname" in refused(DEVICE.replace("HostName", "Hostname"))
    assert "DeviceId stands twice" in refused(DEVICE + ";DeviceId=e")
    assert "DeviceId is empty" in refused(DEVICE.replace("dev1", ""))
    assert "SharedAccessKey is empty" in refused("HostName=h;DeviceId=d;SharedAccessKey=")
    assert "SharedAccessKeyName" in refused(DEVICE + ";SharedAccessKeyName=iothubowner")
    assert "part 4" in refused(DEVICE + ";rubbish")
    assert refused("")
    assert refused("HostName=h;DeviceId=d")
    assert refused(DEVICE + ";x509=true")
    assert refused(DEVICE.replace("dev1", "a/b"))
    assert refused(DEVICE.replace("dev1", "é"))
    assert refused(DEVICE.replace("dev1", "a" * 129))
    for text in (DEVICE + ";DeviceId=e", DEVICE + "!", KEY + ";" + DEVICE, DEVICE + ";x=1"):
        assert "c2VjcmV0" not in refused(text)


def test_secret_pasted_as_a_name_is_not_shown():
    assert "hunter/2" not in refused("HostName=h;hunter/2=x")
    assert "part 2" in refused("HostName=h;" + "a" * 40 + "=x")


def test_key_that_is_not_base64():
    said = refused("HostName=h;DeviceId=d;SharedAccessKey=top secret")
    assert "base64" in said
    assert "top secret" not in said
