"""The hub's own certificate authority (CA) and server certificate, kept in the data folder.

All keys are of the elliptic curve P-256, which a board verifies quickly and in little memory.
"""

import datetime
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_CA_DAYS = 3650
_SERVER_DAYS = 397


def names_of(host):
    """The names in the certificate of a hub that listens on `host`."""
    return list(dict.fromkeys(["localhost", "127.0.0.1", "::1", host]))


def ensure(folder, host="localhost"):
    """The paths of CA, server certificate and server key in `folder`.

    What is missing is made, and a server certificate that is for another host or expires soon.
    """
    folder = Path(folder)
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    server, server_key = folder / "server.pem", folder / "server.key"
    if not (ca.exists() and ca_key.exists()):
        make_ca(ca, ca_key)
        server.unlink(missing_ok=True)
    if not server.exists() or not _fits(server, host):
        make_server(server, server_key, ca, ca_key, names_of(host))
    return ca, server, server_key


def make_ca(certificate, key, name="Local IoT Hub CA"):
    """Write a new CA: PEM at `certificate`, DER beside it, the private key at `key`."""
    private = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name)
    built = (
        _builder(subject, subject, private.public_key(), _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False
        )
        .sign(private, hashes.SHA256())
    )
    _write_key(key, private)
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    certificate.with_suffix(".der").write_bytes(built.public_bytes(serialization.Encoding.DER))


def make_server(certificate, key, ca, ca_key, names, days=_SERVER_DAYS, start=None):
    """Write a server certificate for `names` (host names and IP addresses), signed by the CA.

    It is valid for `days` from `start` (an aware datetime; an hour ago if None).
    """
    issuer = x509.load_pem_x509_certificate(ca.read_bytes())
    issuer_key = serialization.load_pem_private_key(ca_key.read_bytes(), None)
    private = ec.generate_private_key(ec.SECP256R1())
    built = (
        _builder(_subject(names[0]), issuer.subject, private.public_key(), days, start)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )
    _write_key(key, private)
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))


def _fits(certificate, host):
    """Whether a server certificate names `host` and is valid for another week."""
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    week = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=7)
    return all(_name(name) in names for name in names_of(host)) and (
        loaded.not_valid_after_utc > week
    )


def _builder(subject, issuer, public_key, days, start=None):
    start = start or datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
    )


def _subject(name):
    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, name)])


def _name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(sign_certificates):
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_key(path, private):
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
