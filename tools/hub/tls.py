"""TLS as IoT Hub's: any client certificate is let in, for the hub itself to judge.

A device is known by its certificate's thumbprint or by an authority registered later, so that no
set of trusted certificates could stand in the context beforehand; and Python's ssl refuses what it
cannot verify. So each certificate a client shows is trusted just before it is verified: TLS then
proves that the client has its key, and the core judges whose it is (core.x509).
"""

import ssl
import weakref

_MAX_TRUSTED = 500  # certificates in one context, before another takes its place
_CERTIFICATE = 11  # the handshake message


class Contexts:
    """Server contexts, one after the other, and what their clients have shown."""

    def __init__(self, certificate, key):
        self._files = certificate, key
        self._chains = weakref.WeakKeyDictionary()  # ssl object: [DER, …]
        self.first = self._current = self._new()
        # Asked at every handshake, with or without SNI: the place to change the context.
        self.first.sni_callback = self._choose

    def chain(self, writer):
        """The certificates (DER, its own first) that the client of a stream showed; [] if none."""
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
        # The one hook that Python's ssl has for certificates before they are verified.
        context._msg_callback = self._message
        return context

    def _choose(self, connection, _name, _context):
        if len(self._trusted) >= _MAX_TRUSTED:
            self._current = self._new()
        if self._current is not self.first:
            connection.context = self._current

    def _message(self, connection, direction, version, _content, kind, data):
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
                    pass  # no certificate at all: OpenSSL says so itself


def certificates_of(message, newest):
    """The certificates (DER) in a handshake message; newest: it is TLS 1.3's."""
    at = 4
    if newest:
        at += 1 + message[at]
    end = at + 3 + int.from_bytes(message[at : at + 3], "big")
    at += 3
    chain = []
    while at + 3 <= min(end, len(message)):
        size = int.from_bytes(message[at : at + 3], "big")
        chain.append(bytes(message[at + 3 : at + 3 + size]))
        at += 3 + size
        if newest:
            at += 2 + int.from_bytes(message[at : at + 2], "big")
    return chain


def unsent(writer):
    """Bytes that `writer` has taken and the peer has not."""
    try:
        return writer.transport.get_write_buffer_size()
    except AttributeError:  # Python 3.10's TLS, once the connection is lost and not yet closed
        return 0
