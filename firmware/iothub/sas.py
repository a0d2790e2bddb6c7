"""Shared access signatures: HMAC-SHA256, and the tokens IoT Hub takes as passwords.

Contract: docs/protocol/mqtt.md, SAS token.
"""

import binascii
import hashlib

from .compat import const, quote

_BASE64 = const(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def hmac_sha256(key, message):
    """HMAC-SHA256 (RFC 2104) of `message` under `key`, both bytes; 32 bytes."""
    if len(key) > 64:  # the block of SHA-256
        key = hashlib.sha256(key).digest()
    # As one large integer: a loop over the bytes would take more code.
    number = int.from_bytes(key + bytes(64 - len(key)), "big")
    inner_pad, outer_pad = int.from_bytes(b"\x36" * 64, "big"), int.from_bytes(b"\x5c" * 64, "big")
    inner = hashlib.sha256((number ^ inner_pad).to_bytes(64, "big"))
    inner.update(message)
    outer = hashlib.sha256((number ^ outer_pad).to_bytes(64, "big"))
    outer.update(inner.digest())
    return outer.digest()


def decode_key(key):
    """The bytes of a base64 `key` (str or bytes). ValueError, without the key, if it is not."""
    data = key.encode() if isinstance(key, str) else bytes(key)
    digits = data.rstrip(b"=")
    padding = len(data) - len(digits)
    if not digits or len(data) % 4 or padding > 2 or digits.strip(_BASE64):
        raise ValueError("the shared access key is not base64")
    return binascii.a2b_base64(data)


def sas_token(resource_uri, key, expiry, policy_name=None):
    """A SAS token for `resource_uri` (not encoded yet), signed with base64 `key`.

    expiry: seconds since 1970-01-01 UTC. policy_name: a service policy, or None for a device.
    ValueError if the key is not base64.
    """
    resource = quote(resource_uri)
    expiry = str(int(expiry))
    digest = hmac_sha256(decode_key(key), (resource + "\n" + expiry).encode())
    signature = quote(binascii.b2a_base64(digest)[:-1])
    token = "SharedAccessSignature sr=" + resource + "&sig=" + signature + "&se=" + expiry
    return token + "&skn=" + quote(policy_name) if policy_name else token
