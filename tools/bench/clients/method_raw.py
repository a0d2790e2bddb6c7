"""The least that answers a method: no client, one socket, packets cut out of what arrives.

Sends telemetry meanwhile, as clients/raw.py does, where it is asked to. Prints {"sent": messages
a second}.
"""

import json
import select
import socket
import sys
import time

import tls

IPPROTO_TCP, TCP_NODELAY = 6, 1
DEADLINE = 50000  # ms
ASKED, ANSWER = b"$iothub/methods/POST/", b"$iothub/methods/res/200/?$rid="

settings = json.loads(sys.stdin.readline())
ended = False


def field(data):
    data = data.encode() if isinstance(data, str) else data
    return len(data).to_bytes(2, "big") + data


def packet(first, body):
    head, size = bytes([first]), len(body)
    while size > 127:
        head += bytes([size & 127 | 128])
        size >>= 7
    return head + bytes([size]) + body


def connect():
    """(socket with TLS, the socket under it), which has asked for methods."""
    plain = socket.socket()
    plain.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    plain.connect(socket.getaddrinfo(settings["host"], settings["port"])[0][-1])
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    with open(settings["der"], "rb") as file:
        context.load_verify_locations(file.read())
    sock = context.wrap_socket(plain, server_hostname=settings["host"])
    login = field(settings["device"]) + field(settings["user"]) + field(settings["token"])
    sock.write(packet(0x10, b"\0\x04MQTT\x04\xc2\0\x3c" + login))
    if sock.read(4) != b"\x20\x02\0\0":
        raise OSError("refused")
    sock.write(packet(0x82, b"\0\x01" + field("$iothub/methods/POST/#") + b"\0"))
    sock.setblocking(False)
    return sock, plain


def cut(data):
    """([(first byte, body), …], what is left of `data`)"""
    found = []
    while len(data) > 1:
        length = shift = 0
        at = 1
        while True:
            if at == len(data):
                return found, data
            length |= (data[at] & 127) << shift
            shift += 7
            at += 1
            if data[at - 1] < 128:
                break
        if at + length > len(data):
            break
        found.append((data[0], data[at : at + length]))
        data = data[at + length :]
    return found, data


def answer(sock, body):
    global ended
    size = body[0] << 8 | body[1]
    topic, payload = body[2 : 2 + size], body[2 + size :]
    if topic.startswith(ASKED):
        ended = topic.startswith(ASKED + b"stop/")
        rid = topic.split(b"$rid=")[1]
        sock.write(packet(0x30, field(ANSWER + rid) + payload))


def serve(sock, plain):
    poller = select.poll()
    poller.register(plain, select.POLLIN)
    topic = field("devices/{device}/messages/events/".format(**settings))
    telemetry = packet(0x32, topic + b"\0\x01" + b"x" * 100)
    window = settings["window"] if settings["senders"] else 0
    flying, sent, rest = 0, 0, b""
    start = time.ticks_ms()
    while not ended:
        while flying < window:
            sock.write(telemetry)
            flying += 1
        got = sock.read(2048)
        if got is None:
            if time.ticks_diff(time.ticks_ms(), start) > DEADLINE:
                raise OSError("nobody said stop")
            poller.poll(1000)
            continue
        if not got:
            raise OSError("closed by the hub")
        packets, rest = cut(rest + got)
        for first, body in packets:
            if first == 0x40:
                flying -= 1
                sent += 1
            elif first >> 4 == 3:
                answer(sock, body)
    return sent * 1000 / time.ticks_diff(time.ticks_ms(), start)


print(json.dumps({"sent": serve(*connect())}))
