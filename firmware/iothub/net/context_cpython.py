"""The context of TLS, as CPython has it."""

import ssl

from .root_certificates import load


def client_context(certificate=None, x509=None):
    """See iothub.net."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for der in load(certificate):
        try:
            context.load_verify_locations(cadata=der)
        except (OSError, ValueError):
            raise ValueError("server_verification_cert is no certificate that TLS can read")
    if x509 is not None:
        from .x509_cpython import show

        show(context, *x509.der())
    return context
