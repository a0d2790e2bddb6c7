"""X.509 authentication: a device's certificate has a registered thumbprint or a registered CA.

Source: docs/protocol/mqtt.md, "X.509 certificates".
"""

import datetime
import hashlib

from cryptography import exceptions, x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from .errors import Unauthorized, bad_request

MAX_CHAIN = 8


def check_thumbprint(certificate, thumbprints):
    """Unauthorized unless the DER certificate has one of the thumbprints (hex SHA-1, SHA-256)."""
    known = {text.replace(":", "").upper() for text in thumbprints if text}
    actual = {hashlib.new(name, certificate).hexdigest().upper() for name in ("sha1", "sha256")}
    if not known & actual:
        raise Unauthorized(
            f"the certificate's SHA-1 thumbprint {min(actual, key=len)} is not registered for the "
            "device: register it, or give the device the registered certificate"
        )
    _check_dates(_loaded(certificate))


def check_signed(chain, device_id, authorities):
    """Unauthorized unless the chain (DER, the device's first) ends at one of the PEM authorities,
    and the device's certificate has the common name `device_id`.
    """
    chain = [_loaded(one) for one in chain[:MAX_CHAIN]]
    names = chain[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names or names[0].value != device_id:
        raise Unauthorized(
            f"the certificate's common name (CN) must be {device_id}, the device's id"
        )
    anchors = [load(pem) for pem in authorities]
    for number, certificate in enumerate(chain):
        _check_dates(certificate)
        if any(_issued(certificate, anchor) for anchor in anchors):
            return
        if number + 1 == len(chain) or not _issued(certificate, chain[number + 1]):
            break
    raise Unauthorized(
        "no registered CA has signed the device's certificate: register its CA, and let the "
        "device send the intermediate certificates"
    )


def thumbprint(pem):
    """The SHA-1 thumbprint of a PEM certificate, as the registry keeps it. HubError 400."""
    return load(pem).fingerprint(hashes.SHA1()).hex().upper()


def load(pem):
    """A certificate from its PEM text. HubError 400."""
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except (ValueError, AttributeError):
        raise bad_request("this is not a certificate in PEM form") from None


def _loaded(der):
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        raise Unauthorized("the device's certificate cannot be parsed") from None


def _check_dates(certificate):
    now = datetime.datetime.now(datetime.timezone.utc)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Unauthorized(
            f"the certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, and not now: make a new one"
        )


def _issued(certificate, issuer):
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints)
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, exceptions.InvalidSignature, x509.ExtensionNotFound):
        return False
    return constraints.value.ca
