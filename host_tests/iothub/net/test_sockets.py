"""iothub.net.sockets: the stage of a failure, over a socket that behaves as lwIP's does.

lwIP reports a refused connection as ECONNRESET and an unanswered SYN as ECONNABORTED: errnos that
a server that hangs up in the TLS handshake gives, too. MicroPython alone: see sockets_cpython for
CPython.
"""

import asyncio
import errno
import io
import select
import sys

from iothub.compat import wait_for
from iothub.errors import TransportError
from iothub.net.proxy import ProxyOptions

MICROPYTHON = sys.implementation.name == "micropython"
if MICROPYTHON:
    from iothub.net import opening, sockets
POLL, CLOSE, INVALID = 3, 4, -22  # of MicroPython's stream protocol
# How the ports tell that a connection failed: ports/esp32 by POLLHUP, and only to who asks for
# it; extmod/modlwip.c by an error, POLLHUP or both.
ESP32 = select.POLLOUT | select.POLLHUP
MODLWIP = select.POLLERR
REFUSED, UNANSWERED = errno.ECONNRESET, errno.ECONNABORTED


class LwipSocket(io.IOBase):
    """failure: the errno with which the connection fails, or None. It takes three polls.

    hangs_up: the errno with which a connection that stood fails at the first write, or None.
    answer: what the peer sends.
    """

    def __init__(self, failure=None, events=ESP32, hangs_up=None, answer=b""):
        self.failure = failure
        self.events = events if failure else select.POLLOUT
        self.hangs_up = hangs_up
        self.answer = answer
        self.written = b""
        self.closed = False
        self._polls = 0

    def setblocking(self, _):
        pass

    def setsockopt(self, *_):
        pass

    def connect(self, _):
        raise OSError(errno.EINPROGRESS)

    def ioctl(self, request, events):
        if request == CLOSE:
            self.close()
            return 0
        if request != POLL:
            return INVALID
        self._polls += 1
        if self._polls < 3:
            return 0
        if events & select.POLLIN:
            return select.POLLIN
        return self.events & (events | select.POLLERR)

    def recv(self, _):
        raise OSError(self.failure or errno.EAGAIN)

    def read(self, size):
        data, self.answer = self.answer[:size], self.answer[size:]
        return data

    def write(self, data):
        if self.failure or self.hangs_up:
            raise OSError(self.failure or self.hangs_up)
        self.written += bytes(data)
        return len(data)

    def close(self):
        self.closed = True


class Tls(io.IOBase):
    """TLS over a LwipSocket. hangs_up: the errno with which its handshake fails, or None."""

    def __init__(self, sock, hangs_up):
        self._sock = sock
        self._hangs_up = hangs_up

    def write(self, data):
        if self._hangs_up and not self._sock.failure:
            raise OSError(self._hangs_up)
        return self._sock.write(data)

    def ioctl(self, request, events):
        return self._sock.ioctl(request, events)

    def close(self):
        pass  # MicroPython's closes no socket after a handshake that failed


class Context:
    def __init__(self, hangs_up):
        self._hangs_up = hangs_up

    def wrap_socket(self, sock, server_hostname, do_handshake_on_connect):
        assert server_hostname == "hub.example"
        return Tls(sock, self._hangs_up)


class Sockets:
    """In place of the module socket: each address of hub.example has one of these sockets."""

    SOCK_STREAM = 1

    def __init__(self, sockets):
        self._waiting = list(sockets)

    def getaddrinfo(self, host, port, *_):
        return [(2, 1, 6, "", (host, port)) for _ in self._waiting]

    def socket(self, *_):
        return self._waiting.pop(0)


async def first_write(hangs_up, proxy):
    opened = await opening.open_stream("hub.example", 8883, Context(hangs_up), 5, proxy)
    try:
        await wait_for(opened.write(b"hello"), 5, "test")
    finally:
        opened.close()


def failure(*given, hangs_up=None, proxied=False):
    """(stage, text) of the error of connecting and a first write; None if both succeed."""
    proxy = ProxyOptions("HTTP", "proxy.example", 3128) if proxied else None
    real = sockets.socket
    sys.modules["socket"] = sockets.socket = Sockets(given)
    try:
        asyncio.run(first_write(hangs_up, proxy))
    except TransportError as error:
        return error.stage, str(error)
    finally:
        sys.modules["socket"] = sockets.socket = real
    return None


def test_connection_that_fails_is_named_tcp():
    for events in (ESP32, MODLWIP) if MICROPYTHON else ():
        for number, name in ((REFUSED, "ECONNRESET"), (UNANSWERED, "ECONNABORTED")):
            sock = LwipSocket(number, events)
            assert failure(sock) == ("tcp", "tcp: hub.example:8883: IPv4 " + name)
            assert sock.closed


def test_connection_to_a_proxy_that_fails_is_named_tcp():
    for events in (ESP32, MODLWIP) if MICROPYTHON else ():
        sock = LwipSocket(REFUSED, events)
        assert failure(sock, proxied=True) == ("tcp", "tcp: proxy.example:3128: IPv4 ECONNRESET")
        assert sock.closed


def test_peer_that_hangs_up_in_the_handshake_is_named_tls():
    for number in (REFUSED, UNANSWERED, errno.ETIMEDOUT) if MICROPYTHON else ():
        sock = LwipSocket()
        assert failure(sock, hangs_up=number)[0] == "tls"
        assert sock.closed
        sock = LwipSocket(answer=b"HTTP/1.1 200 OK\r\n\r\n")
        assert failure(sock, hangs_up=number, proxied=True)[0] == "tls"
        assert sock.written.startswith(b"CONNECT hub.example:8883 HTTP/1.1\r\n")
        assert sock.closed


def test_proxy_that_hangs_up_is_named_proxy():
    if MICROPYTHON:
        sock = LwipSocket(hangs_up=REFUSED)
        assert failure(sock, proxied=True) == ("proxy", "proxy: the proxy hangs up: ECONNRESET")
        assert sock.closed


def test_next_address_is_tried_after_a_refused_one():
    for proxied in (False, True) if MICROPYTHON else ():
        refused, other = LwipSocket(REFUSED), LwipSocket(answer=b"HTTP/1.1 200 OK\r\n\r\n")
        assert failure(refused, other, proxied=proxied) is None
        assert refused.closed
        assert other.written.endswith(b"hello")
