"""How CPython's TLS shows a device's certificate. Loaded with the first one."""

import binascii
import ssl
import tempfile


def show(context, certificate, key):
    """Let an SSLContext show a certificate and its key, both DER. ValueError: TLS cannot read one.

    Python's ssl takes them from files alone: from one that is gone at once.
    """
    pem = ssl.DER_cert_to_PEM_cert(certificate)
    for label in ("PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"):
        block = pem.replace("CERTIFICATE", label).split("\n")
        body = binascii.b2a_base64(key, newline=False).decode()
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write("\n".join([block[0], body, block[-2], pem]))
            file.flush()
            try:
                context.load_cert_chain(file.name)
                return
            except (OSError, ValueError):
                continue
    raise ValueError("x509 is no certificate and key that TLS can read")
