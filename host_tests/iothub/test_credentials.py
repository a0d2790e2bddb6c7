"""iothub.credentials: connection strings, host names, user names."""

from host_tests.support.raises import raises
from iothub.credentials import split_host
from iothub.options import from_connection_string

KEY = "c2VjcmV0IGtleSBvZiBhIGRldmljZQ=="
DEVICE = "HostName=hub.azure-devices.net;DeviceId=dev1;SharedAccessKey=" + KEY


def refused(text):
    """The words of the ValueError that a connection string raises."""
    return str(raises(ValueError, from_connection_string, text))


def test_device():
    one = from_connection_string(DEVICE)
    assert (one.host, one.port) == ("hub.azure-devices.net", None)
    assert one.client_id == "dev1"
    assert one.username() == "hub.azure-devices.net/dev1/?api-version=2021-04-12"
    token = one.sign(1700000000)[0]
    assert token.startswith("SharedAccessSignature sr=hub.azure-devices.net%2Fdevices%2Fdev1&sig=")
    assert token.endswith("&se=1700000000")


def test_module():
    one = from_connection_string(DEVICE + ";ModuleId=mod1")
    assert one.client_id == "dev1/mod1"
    assert one.username() == "hub.azure-devices.net/dev1/mod1/?api-version=2021-04-12"
    assert "sr=hub.azure-devices.net%2Fdevices%2Fdev1%2Fmodules%2Fmod1&" in one.sign(1)[0]


def test_product_info_is_encoded_in_the_user_name():
    one = from_connection_string(DEVICE)
    assert one.username("py (a;b)").endswith("&DeviceClientType=py%20%28a%3Bb%29")


def test_port_in_the_host_name_is_dialled_but_not_signed():
    one = from_connection_string("HostName=localhost:8884;DeviceId=d;SharedAccessKey=" + KEY)
    assert (one.host, one.port, one.hostname) == ("localhost", 8884, "localhost")
    assert one.username().startswith("localhost/d/?")


def test_gateway_is_dialled_and_the_hub_named():
    one = from_connection_string(DEVICE + ";GatewayHostName=edge.local")
    assert (one.host, one.port) == ("edge.local", None)
    assert one.username().startswith("hub.azure-devices.net/dev1/?")
    assert "sr=hub.azure-devices.net%2F" in one.sign(1)[0]


def test_x509_has_no_password():
    one = from_connection_string("HostName=h;DeviceId=d;x509=true")
    assert one.sign(1) is None
    assert refused("HostName=h;DeviceId=d;x509=maybe")


def test_ready_token_is_the_password():
    token = "SharedAccessSignature sr=h%2Fdevices%2Fd&sig=s&se=99"
    one = from_connection_string("HostName=h;DeviceId=d;SharedAccessSignature=" + token)
    assert one.sign(1)[0] == token


def test_representation_has_no_secret():
    shown = repr(from_connection_string(DEVICE))
    assert "c2VjcmV0" not in shown


def test_host_and_port():
    assert split_host("h", 5) == ("h", 5)
    assert split_host("h:1", 5) == ("h", 1)
    assert split_host("fe80::1", 5) == ("fe80::1", 5)
    for host in ("h:", "h:x", "h:0", "h:65536", ":5"):
        raises(ValueError, split_host, host, 5)
