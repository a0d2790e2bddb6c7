"""Devices' certificates: known by their thumbprint, or signed by a registered authority.

Source: spec sdk-expectations; IoT Hub's X.509 authentication.
"""

import datetime
import hashlib

from cryptography import exceptions, x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from .auth import TokenError
from .errors import bad_request

MAX_CHAIN = 8


def check_thumbprint(certificate, thumbprints):
    """TokenError unless the DER `certificate` has one of the hex SHA-1 or SHA-256 thumbprints."""
    known = {text.replace(":", "").upper() for text in thumbprints if text}
    actual = {hashlib.new(name, certificate).hexdigest().upper() for name in ("sha1", "sha256")}
    if not known & actual:
        raise TokenError(f"the certificate's thumbprint is {min(actual, key=len)}, not registered")
    _check_dates(_loaded(certificate))


def check_signed(chain, device_id, authorities):
    """TokenError unless the chain (DER, the device's first) ends at one of the PEM authorities,
    and the first is for the common name `device_id`.
    """
    chain = [_loaded(one) for one in chain[:MAX_CHAIN]]
    names = chain[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names or names[0].value != device_id:
        raise TokenError("the certificate's common name is not the device id")
    anchors = [load(pem) for pem in authorities]
    for number, certificate in enumerate(chain):
        _check_dates(certificate)
        if any(_issued(certificate, anchor) for anchor in anchors):
            return
        if number + 1 == len(chain) or not _issued(certificate, chain[number + 1]):
            break
    raise TokenError("the certificate is not signed by a registered authority")


def thumbprint(pem):
    """The SHA-1 thumbprint of a PEM certificate, as the registry keeps it. HubError 400."""
    return load(pem).fingerprint(hashes.SHA1()).hex().upper()


def load(pem):
    """A certificate from its PEM text. HubError 400."""
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except (ValueError, AttributeError):
        raise bad_request("that is no certificate in PEM") from None


def _loaded(der):
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        raise TokenError("the certificate cannot be read") from None


def _check_dates(certificate):
    now = datetime.datetime.now(datetime.timezone.utc)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise TokenError("the certificate is not valid today")


def _issued(certificate, issuer):
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints)
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, exceptions.InvalidSignature, x509.ExtensionNotFound):
        return False
    return constraints.value.ca
