"""The upper limit in MicroPython for one TLS record a message: no client, one packet repeated.

Only the two bytes of its packet id change. Each message is one write and so one TLS record; bytes
that arrive are counted and not parsed: four are a PUBACK.
"""

import select

import telemetry
from program import settings
from raw_mqtt import connect, field, packet


def sender(sock, plain):
    message = bytearray(packet(0x32, field(telemetry.topic) + b"\0\0" + telemetry.payload))
    place = len(message) - len(telemetry.payload) - 2  # of the packet id
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


telemetry.measure(sender(*connect(telemetry.device)))
