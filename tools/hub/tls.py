"""Server TLS that accepts any client certificate; the core decides whose it is (core/x509.py).

A device is known by a thumbprint or a CA that may be registered later, so the certificates to
trust are not known beforehand; and Python's ssl refuses a certificate that it cannot verify.
Therefore each certificate that a client shows is trusted just before ssl verifies it. TLS then
proves only that the client has the certificate's private key.
"""

import ssl
import weakref

_MAX_TRUSTED = 500  # certificates that one context trusts, before a new one replaces it
_CERTIFICATE = 11  # type of the handshake message with the client's certificates


class Contexts:
    """TLS server contexts, one after the other, and the certificates that clients have shown.

    first: the SSLContext to listen with.
    """

    def __init__(self, certificate, key):
        self._files = certificate, key
        self._chains = weakref.WeakKeyDictionary()  # ssl object: [DER, …]
        self.first = self._current = self._new()
        # ssl calls this at every handshake, with or without SNI: the place to change the context.
        self.first.sni_callback = self._choose_context

    def chain(self, writer):
        """The certificates (DER, its own first) that the client of a stream has shown, or []."""
        connection = writer.get_extra_info("ssl_object")
        if connection is None or not connection.getpeercert(binary_form=True):
            return []
        return self._chains.get(connection, [])

    def _new(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self._files)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self._trusted = set()
        # Python's ssl has no other hook that sees certificates before they are verified.
        context._msg_callback = self._on_message
        return context

    def _choose_context(self, connection, _name, _context):
        if len(self._trusted) >= _MAX_TRUSTED:
            self._current = self._new()
        if self._current is not self.first:
            connection.context = self._current

    def _on_message(self, connection, direction, version, _content, kind, data):
        if direction != "read" or kind != _CERTIFICATE:
            return
        chain = certificates_of(data, version == ssl.TLSVersion.TLSv1_3)
        if chain:
            self._chains[connection] = chain
            if chain[0] not in self._trusted:
                self._trusted.add(chain[0])
                try:
                    connection.context.load_verify_locations(cadata=chain[0])
                except ssl.SSLError:
                    pass  # it is not a certificate: OpenSSL refuses it by itself


def certificates_of(message, tls13):
    """The certificates (DER) in a Certificate handshake message. tls13: it is of TLS 1.3."""
    at = 4
    if tls13:
        at += 1 + message[at]
    end = at + 3 + int.from_bytes(message[at : at + 3], "big")
    at += 3
    chain = []
    while at + 3 <= min(end, len(message)):
        size = int.from_bytes(message[at : at + 3], "big")
        chain.append(bytes(message[at + 3 : at + 3 + size]))
        at += 3 + size
        if tls13:
            at += 2 + int.from_bytes(message[at : at + 2], "big")
    return chain


def unsent(writer):
    """The number of bytes that `writer` holds and has not sent yet."""
    try:
        return writer.transport.get_write_buffer_size()
    except AttributeError:  # Python 3.10's TLS, once the connection is lost and not yet closed
        return 0
