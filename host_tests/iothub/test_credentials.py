"""iothub.credentials: connection strings, host names, user names."""

from host_tests.support.raises import raises
from iothub.credentials import Credentials, parse_connection_string, split_host

KEY = "c2VjcmV0IGtleSBvZiBhIGRldmljZQ=="
DEVICE = "HostName=hub.azure-devices.net;DeviceId=dev1;SharedAccessKey=" + KEY


def refused(text):
    """The text of the ValueError for a connection string."""
    return str(raises(ValueError, Credentials.from_connection_string, text))


def test_device():
    one = Credentials.from_connection_string(DEVICE)
    assert (one.host, one.port) == ("hub.azure-devices.net", None)
    assert one.client_id == "dev1"
    assert one.username() == "hub.azure-devices.net/dev1/?api-version=2021-04-12"
    token = one.sign(1700000000)[0]
    assert token.startswith("SharedAccessSignature sr=hub.azure-devices.net%2Fdevices%2Fdev1&sig=")
    assert token.endswith("&se=1700000000")


def test_module():
    one = Credentials.from_connection_string(DEVICE + ";ModuleId=mod1")
    assert one.client_id == "dev1/mod1"
    assert one.username() == "hub.azure-devices.net/dev1/mod1/?api-version=2021-04-12"
    assert "sr=hub.azure-devices.net%2Fdevices%2Fdev1%2Fmodules%2Fmod1&" in one.sign(1)[0]


def test_product_info_is_encoded_in_the_user_name():
    one = Credentials.from_connection_string(DEVICE)
    assert one.username("py (a;b)").endswith("&DeviceClientType=py%20%28a%3Bb%29")


def test_port_in_the_host_name_is_dialled_but_not_signed():
    one = Credentials.from_connection_string(
        "HostName=localhost:8884;DeviceId=d;SharedAccessKey=" + KEY
    )
    assert (one.host, one.port, one.hostname) == ("localhost", 8884, "localhost")
    assert one.username().startswith("localhost/d/?")


def test_gateway_is_dialled_and_the_hub_is_named():
    one = Credentials.from_connection_string(DEVICE + ";GatewayHostName=edge.local")
    assert (one.host, one.port) == ("edge.local", None)
    assert one.username().startswith("hub.azure-devices.net/dev1/?")
    assert "sr=hub.azure-devices.net%2F" in one.sign(1)[0]


def test_x509_has_no_password():
    one = Credentials.from_connection_string("HostName=h;DeviceId=d;x509=true")
    assert one.signer is None
    assert refused("HostName=h;DeviceId=d;x509=maybe")


def test_ready_token_is_the_password():
    token = "SharedAccessSignature sr=h%2Fdevices%2Fd&sig=s&se=99"
    one = Credentials.from_connection_string(
        "HostName=h;DeviceId=d;SharedAccessSignature=" + token
    )
    assert one.sign(1)[0] == token
    one = Credentials.from_sastoken(token)
    assert (one.hostname, one.device_id, one.module_id) == ("h", "d", None)
    one = Credentials.from_sastoken(token.replace("devices%2Fd", "devices%2Fd%2Fmodules%2Fm"))
    assert one.client_id == "d/m"
    raises(ValueError, Credentials.from_sastoken, "SharedAccessSignature sr=h&sig=s&se=99")


def test_key_with_equals_signs_and_spaces_around():
    assert parse_connection_string(" " + DEVICE + "; ")["SharedAccessKey"] == KEY


def test_invalid_connection_string_names_the_part_and_not_the_secret():
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


def test_secret_in_place_of_a_name_is_not_printed():
    assert "hunter/2" not in refused("HostName=h;hunter/2=x")
    assert "part 2" in refused("HostName=h;" + "a" * 40 + "=x")


def test_key_that_is_not_base64_is_an_error():
    said = refused("HostName=h;DeviceId=d;SharedAccessKey=top secret")
    assert "base64" in said
    assert "top secret" not in said


def test_representation_has_no_secret():
    shown = repr(Credentials.from_connection_string(DEVICE))
    assert "dev1" in shown
    assert "c2VjcmV0" not in shown


def test_host_and_port():
    assert split_host("h", 5) == ("h", 5)
    assert split_host("h:1", 5) == ("h", 1)
    assert split_host("fe80::1", 5) == ("fe80::1", 5)
    for host in ("h:", "h:x", "h:0", "h:65536", ":5"):
        raises(ValueError, split_host, host, 5)
