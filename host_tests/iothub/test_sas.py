"""iothub.sas: SAS tokens and HMAC-SHA256."""

import binascii

from host_tests.support.raises import raises
from iothub.sas import decode_key, hmac_sha256, sas_token

KEY = "c2VjcmV0IGtleSBvZiBhIGRldmljZQ=="


def hexed(data):
    return binascii.hexlify(data).decode()


def test_rfc_4231_vectors():
    vectors = (
        (
            b"\x0b" * 20,
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            b"\xaa" * 20,
            b"\xdd" * 50,
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    )
    for key, message, expected in vectors:
        assert hexed(hmac_sha256(key, message)) == expected


def test_key_of_one_block_is_not_hashed():
    assert hmac_sha256(b"k" * 64, b"m") != hmac_sha256(b"k" * 65, b"m")
    # A key is padded with zero bytes, so these two are the same key by RFC 2104.
    assert hmac_sha256(b"k", b"m") == hmac_sha256(b"k\0", b"m")


def test_token_of_a_device():
    # The signature was made with CPython's hmac and urllib.
    token = sas_token("hub.azure-devices.net/devices/my device", KEY, 1700000000)
    assert token == (
        "SharedAccessSignature sr=hub.azure-devices.net%2Fdevices%2Fmy%20device"
        "&sig=9RfZ0eVExb6IhanU1n0hulBgVUXYdMbxgcYLIAJVZ5g%3D&se=1700000000"
    )


def test_token_of_a_policy_ends_with_its_name():
    token = sas_token("hub", KEY, 1, "iothub owner")
    assert token.endswith("&se=1&skn=iothub%20owner")


def test_expiry_is_whole_seconds():
    assert sas_token("hub", KEY, 12.9).endswith("&se=12")


def test_key_may_be_bytes():
    assert sas_token("hub", KEY.encode(), 1) == sas_token("hub", KEY, 1)


def test_key_that_is_not_base64_is_named_and_not_printed():
    for key in ("", "====", "abc", "secret!!", "c2VjcmV0\n", "c2Vj cmV0", "YWJj=", "YQ===YQ="):
        error = raises(ValueError, decode_key, key)
        assert "key" in str(error)
        assert not key.strip("=") or key not in str(error)
