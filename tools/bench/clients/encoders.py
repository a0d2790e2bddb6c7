"""Compares iothub's encoders with the shortest code that gives the same.

Its result: {what: {"ours" or "shortest": [calls a second, bytes of heap a call]}}.
"""

import gc
import time

import shortest
from program import allocated, say, settings

from iothub import Message, sas
from iothub.mqtt import properties

PASSES = 3
FEW = 50  # calls without the collector

resource, key, expiry = "my-hub.azure-devices.net/devices/my-board", settings["key"], 1700003600
events = b"devices/my-board/messages/events/"
wire = {
    "$.mid": "4711",
    "$.ct": "application/json",
    "$.ce": "utf-8",
    "alarm": "false",
    "room": "Küche 3",
}
message = Message(b"", "4711", "utf-8", "application/json")
message.custom_properties = {"alarm": "false", "room": "Küche 3"}
bag = "%24.mid=4711&%24.ct=application%2Fjson&%24.ce=utf-8&alarm=false&room=K%C3%BCche%203"

COMPARED = {
    "SAS token": (
        lambda: sas.sas_token(resource, key, expiry),
        lambda: shortest.sas_token(resource, key, expiry),
    ),
    "telemetry topic, 5 properties": (
        lambda: properties.telemetry_topic(events, message),
        lambda: shortest.telemetry(events, wire),
    ),
    "C2D message's 5 properties, decoded": (
        lambda: decoded(bag),
        lambda: shortest.decode_properties(bag),
    ),
}


def decoded(bag):
    message = Message(b"")
    properties.decode_message(bag, message)
    return message


def plain(made):
    """The result of an encoder in a form that can be compared: properties have no order."""
    if isinstance(made, Message):
        system = {
            "$.mid": made.message_id,
            "$.ct": made.content_type,
            "$.ce": made.content_encoding,
        }
        system.update(made.custom_properties)
        return system
    if isinstance(made, (bytes, bytearray)):
        return sorted(bytes(made)[len(events) :].split(b"&"))
    return made


def check():
    for what, (ours, other) in COMPARED.items():
        one, two = plain(ours()), plain(other())
        if one != two:
            raise ValueError(f"{what}: {one!r} is not {two!r}")


def repeat(function, count):
    for _ in range(count):
        function()


def seconds(function, count):
    gc.collect()
    start = time.ticks_us()
    repeat(function, count)
    return time.ticks_diff(time.ticks_us(), start) / 1e6


def measure(pair):
    """The best of some passes, in turn: other load on the machine only makes a pass slower."""
    count, best = settings["calls"], [None, None]
    for _ in range(PASSES):
        for i in (0, 1):
            took = seconds(pair[i], count)
            best[i] = took if best[i] is None else min(best[i], took)
    ours, other = [
        [count / best[i], allocated(lambda n, i=i: repeat(pair[i], n), FEW)] for i in (0, 1)
    ]
    return {"ours": ours, "shortest": other}


check()
found = {}
for what, pair in COMPARED.items():
    found[what] = measure(pair)
say("result", found)
