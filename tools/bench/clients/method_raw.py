"""The least program that answers direct methods: no client, one socket.

Sends telemetry meanwhile, as clients/raw.py does, where "senders" says so. Its result: {"sent":
messages a second}.
"""

import select
import time

from program import say, settings
from raw_mqtt import connect, field, packet

DEADLINE = 50000  # ms
ASKED, ANSWER = b"$iothub/methods/POST/", b"$iothub/methods/res/200/?$rid="

ended = False


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
    sock.write(packet(0x82, b"\0\x01" + field("$iothub/methods/POST/#") + b"\0"))
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
                raise OSError("no method said stop")
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


login = settings["device"], settings["user"], settings["token"]
say("result", {"sent": serve(*connect(*login, flags=0xC2))})
