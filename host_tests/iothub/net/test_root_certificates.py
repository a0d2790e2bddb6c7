"""iothub.net.root_certificates: the built-in roots."""

import binascii
import os

from host_tests.support.raises import raises
from iothub.net.root_certificates import load

DER = b"\x30\x03\x02\x01\x05"


def pem(der):
    text = binascii.b2a_base64(der).decode()
    return "-----BEGIN CERTIFICATE-----\n" + text + "-----END CERTIFICATE-----\n"


def test_two_built_in_roots():
    found = list(load())
    assert len(found) == 2
    assert b"DigiCert Global Root G2" in found[0]
    assert b"Microsoft RSA Root Certificate Authority 2017" in found[1]


def test_pem_text_and_bytes_with_several():
    text = "a comment\n" + pem(DER) + pem(DER + b"\x01").replace("\n", "\r\n")
    assert list(load(text)) == [DER, DER + b"\x01"]
    assert list(load(text.encode())) == [DER, DER + b"\x01"]


def test_der_bytes():
    assert list(load(DER)) == [DER]


def test_file():
    name = "test-roots.tmp"
    with open(name, "wb") as file:
        file.write(DER)
    try:
        assert list(load(name)) == [DER]
    finally:
        os.remove(name)


def test_invalid_certificates_are_errors():
    raises(ValueError, list, load(b"rubbish"))
    raises(ValueError, list, load(pem(DER)[:40]))
    raises(OSError, list, load("no-such-file.der"))
