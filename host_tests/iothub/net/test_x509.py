"""A device's certificate and key: read, and never shown."""

from host_tests.support.raises import raises
from iothub.net.x509 import X509

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN EC PARAMETERS-----\nBggq\n-----END EC PARAMETERS-----\n" + (
    "-----BEGIN EC PRIVATE KEY-----\nMAMC\nAQc=\n-----END EC PRIVATE KEY-----\n"
)
DER = b"\x30\x03\x02\x01\x05", b"\x30\x03\x02\x01\x07"


def test_pem_and_der():
    assert X509(CERTIFICATE, KEY).der() == DER
    assert X509(CERTIFICATE.encode(), KEY.replace("\n", "\r\n").encode()).der() == DER
    assert X509(*DER).der() == DER


def test_what_is_none():
    encrypted = KEY.replace("EC PRIVATE", "ENCRYPTED PRIVATE")
    for certificate, key in (
        (b"nonsense", DER[1]),
        (CERTIFICATE[:40], DER[1]),
        (CERTIFICATE, encrypted),
    ):
        raises(ValueError, X509(certificate, key).der)
    raises(OSError, X509("/nowhere/cert.pem", KEY).der)
    raises(ValueError, X509, CERTIFICATE, KEY, "secret")


def test_nothing_is_printed():
    assert repr(X509(CERTIFICATE, KEY)) == "<X509>"
