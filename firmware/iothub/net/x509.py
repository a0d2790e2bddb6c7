"""A device's own certificate and key, for TLS: known to the hub by thumbprint or by its CA.

Contract: docs/protocol/mqtt.md, Connection: a user name, and no password.
"""

import binascii


class X509:
    """cert_file, key_file: paths, or PEM (str or bytes) or DER (bytes); ECC or RSA.

    On a board the key must not be encrypted, and the certificate stands alone, without a chain.
    Neither is ever printed.
    """

    def __init__(self, cert_file, key_file, pass_phrase=None):
        if pass_phrase is not None:
            raise ValueError("the key must not be encrypted: store it without pass_phrase")
        self._parts = cert_file, key_file

    def __repr__(self):
        return "<X509>"

    def der(self):
        """(certificate, key) as DER. ValueError: one of them is none; OSError: no such file."""
        certificate, key = self._parts
        return _der(certificate, "certificate"), _der(key, "key")


def _der(data, name):
    if isinstance(data, str):
        data = data.encode() if "-----BEGIN" in data else _read(data)
    begin = data.find(b"-----BEGIN")
    if begin < 0:
        if data[:1] != b"\x30":  # DER: a SEQUENCE
            raise ValueError("the %s is neither PEM, DER nor a file of them" % name)
        return data
    # An EC key may have its parameters in a block before it.
    if b"EC PARAMETERS" in data[begin : begin + 40]:
        begin = data.find(b"-----BEGIN", begin + 1)
    label, _, rest = data[begin:].partition(b"-----\n" if b"-----\r" not in data else b"-----\r\n")
    body, end, _ = rest.partition(b"-----END")
    if not end or b"ENCRYPTED" in label or b"ENCRYPTED" in body:
        raise ValueError("the %s is cut off, or encrypted" % name)
    return binascii.a2b_base64(body.replace(b"\r", b"").replace(b"\n", b""))


def _read(path):
    with open(path, "rb") as file:
        return file.read()
