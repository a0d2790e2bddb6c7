"""The upper limit in MicroPython for a record a message: no client, one packet again and again.

Only the two bytes of its id change. Each message is one write and so one TLS record; bytes that
arrive are counted and not read: four are a PUBACK.
"""

import select
import socket

import harness
from harness import settings

IPPROTO_TCP, TCP_NODELAY = 6, 1
CONNECT = b"\0\x04MQTT\x04\x02\0\0"  # without its first byte, its length and the client id


def connect():
    """(socket with TLS, the socket under it)"""
    plain = socket.socket()
    plain.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    plain.connect(socket.getaddrinfo(settings["host"], settings["port"])[0][-1])
    sock = harness.context().wrap_socket(plain, server_hostname=settings["host"])
    name = harness.device.encode()
    body = CONNECT + len(name).to_bytes(2, "big") + name
    sock.write(b"\x10" + bytes((len(body),)) + body)
    answer = sock.read(4)
    if answer != b"\x20\x02\0\0":
        raise OSError("CONNACK {!r}".format(answer))
    sock.setblocking(False)
    return sock, plain


def packet():
    """(PUBLISH with QoS 1, where in it the id is)"""
    name = harness.topic.encode()
    size = 2 + len(name) + 2 + len(harness.payload)
    head = b"\x32"
    while size > 127:
        head += bytes((size & 127 | 128,))
        size >>= 7
    head += bytes((size,)) + len(name).to_bytes(2, "big") + name
    return bytearray(head + b"\0\0" + harness.payload), len(head)


def sender(sock, plain):
    message, place = packet()
    size = len(message)
    write = sock.write
    readinto = sock.readinto
    answers = bytearray(4 * settings["window"])
    # The socket under the TLS: one with TLS has no descriptor, so poll looks at it each ms only.
    poller = select.poll()
    poller.register(plain, select.POLLIN)
    wait = poller.ipoll

    def send(count):
        window = settings["window"]
        sent = 0
        received = 0  # bytes
        while received < 4 * count:
            end = min(count, (received >> 2) + window)
            while sent < end:
                sent += 1
                number = sent % 65535 + 1
                message[place] = number >> 8
                message[place + 1] = number & 255
                if write(message) != size:
                    raise OSError("window larger than the socket's buffer")
            got = readinto(answers)
            if got:
                received += got
            elif got is None:
                for _ in wait(-1):
                    pass
            else:
                raise OSError("closed by the broker")

    return send


harness.measure(sender(*connect()))
