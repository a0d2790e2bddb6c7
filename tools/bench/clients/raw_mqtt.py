"""The least MQTT that a program without a client needs: packets, and a TLS connection."""

import socket

from program import context, settings

IPPROTO_TCP, TCP_NODELAY = 6, 1


def field(data):
    """Text or bytes behind their length."""
    data = data.encode() if isinstance(data, str) else data
    return len(data).to_bytes(2, "big") + data


def packet(first, body):
    head, size = bytes([first]), len(body)
    while size > 127:
        head += bytes([size & 127 | 128])
        size >>= 7
    return head + bytes([size]) + body


def connect(*login, flags=0x02):
    """(socket with TLS that does not block, the socket under it), once CONNECT is accepted.

    login: client id, user name and password, as far as `flags` says.
    """
    plain = socket.socket()
    plain.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    plain.connect(socket.getaddrinfo(settings["host"], settings["port"])[0][-1])
    sock = context().wrap_socket(plain, server_hostname=settings["host"])
    body = b"\0\x04MQTT\x04" + bytes([flags]) + b"\0\x3c" + b"".join([field(one) for one in login])
    sock.write(packet(0x10, body))
    answer = sock.read(4)
    if answer != b"\x20\x02\0\0":
        raise OSError("CONNACK {!r}".format(answer))
    sock.setblocking(False)
    return sock, plain
