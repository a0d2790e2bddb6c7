"""Certificates of devices and of authorities, made for tests."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Certificate:
    """A certificate and its key, as PEM files; signed by `issuer`, another Certificate, or by
    itself.
    """

    def __init__(self, folder, name, issuer=None, is_ca=False, key=None):
        self._key = key or ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, name)])
        issuer = issuer or self
        now = datetime.datetime.now(datetime.timezone.utc)
        self.built = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(issuer._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .sign(issuer._key, hashes.SHA256())
        )
        self.pem = self.built.public_bytes(serialization.Encoding.PEM).decode()
        self.file, self.key_file = folder / f"{name}.pem", folder / f"{name}.key"
        self.file.write_text(self.pem)
        self.key_file.write_bytes(
            self._key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    @property
    def thumbprint(self):
        return self.built.fingerprint(hashes.SHA1()).hex().upper()
