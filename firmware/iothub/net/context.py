"""The context of TLS, as MicroPython has it. CPython's is in context_cpython."""

import tls

from .root_certificates import load


def client_context(certificate=None, x509=None):
    """See iothub.net."""
    # It starts at CERT_REQUIRED, where MicroPython's ssl module does not.
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    for der in load(certificate):
        try:
            context.load_verify_locations(der)
        except (OSError, ValueError):
            raise ValueError("server_verification_cert is no certificate that TLS can read")
    if x509 is not None:
        try:
            context.load_cert_chain(*x509.der())
        except OSError:
            raise ValueError("x509 is no certificate and key that TLS can read")
    return context
