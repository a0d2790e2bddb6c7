"""The certificates that the hub's own must lead to, as DER, one at a time.

Two roots are built in, so that a change of Microsoft's CA strands nobody: DigiCert Global
Root G2 and Microsoft RSA Root Certificate Authority 2017. A third one is a file, which root_update
puts there. Contract: docs/protocol/mqtt.md, TLS.
"""

import binascii

from ..compat import const

BUILT_IN = ("digicert-global-root-g2.der", "microsoft-rsa-root-2017.der")
UPDATED = "updated.der"
_BEGIN = const(b"-----BEGIN CERTIFICATE-----")
_END = const(b"-----END CERTIFICATE-----")


def load(certificate=None):
    """Yield DER certificates (bytes): those of `certificate`, or the built-in roots for None.

    certificate: PEM text, with one certificate or several; PEM or DER bytes; or a file's path.
    ValueError if it holds none; OSError if the file cannot be read.
    """
    if certificate is None:
        for name in BUILT_IN:
            yield _read(place(name))
        try:
            yield _read(place(UPDATED))
        except OSError:
            pass  # there is none
        return
    if isinstance(certificate, str):
        certificate = certificate.encode() if "-----BEGIN" in certificate else _read(certificate)
    if _BEGIN not in certificate:
        if certificate[:1] != b"\x30":  # DER: a SEQUENCE
            raise ValueError("server_verification_cert is neither PEM, DER nor a file of them")
        yield certificate
        return
    for block in certificate.split(_BEGIN)[1:]:
        body, end, _ = block.partition(_END)
        if not end:
            raise ValueError("server_verification_cert is cut off")
        yield binascii.a2b_base64(body.replace(b"\r", b"").replace(b"\n", b""))


def place(name):
    """The path of a root: in firmware/certs here, in /lib/certs on a board, ROM or not."""
    parts = __file__.split("/")[:-3]  # without iothub/net/root_certificates.py
    lib = "/".join(parts) if parts and parts[:2] != ["", "rom"] else "/lib"
    return lib + "/certs/" + name


def _read(path):
    with open(path, "rb") as file:
        return file.read()
