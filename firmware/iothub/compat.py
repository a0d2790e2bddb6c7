"""What MicroPython and CPython do differently, or only one of them has.

Time in ticks, futures without a coroutine frame, deadlines, percent-encoding (RFC 3986).
"""

import asyncio
import gc
import os
import sys
import time

from .errors import OperationTimeout

if sys.implementation.name == "micropython":
    from asyncio import sleep_ms  # noqa: F401
    from time import ticks_diff, ticks_ms  # noqa: F401

    from micropython import const  # noqa: F401

    from .future import AutoResetEvent, Future  # noqa: F401
    from .future import wait_for as _wait_for

    def utf8(text):
        """The bytes of a str, for what takes a buffer: a str is one here."""
        return text

    as_coroutine = utf8  # what asyncio.create_task() takes: here any object with send()
else:
    from .compat_cpython import (  # type: ignore[no-redef,assignment]  # noqa: F401
        AutoResetEvent,
        Future,
        as_coroutine,
        const,
        sleep_ms,
        ticks_diff,
        ticks_ms,
        utf8,
    )
    from .compat_cpython import wait_for as _wait_for

# ESP32 counts from 2000, the unix port and CPython from 1970; tokens want 1970.
EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0

_HEX = const(b"0123456789ABCDEF")
_SAFE = const(b"-_.~")


def forget(*names):
    """Give back the heap of modules of iothub that are needed once, or seldom, such as options.
    One is loaded again when it is imported again.
    """
    if sys.implementation.name == "micropython":
        for name in names:
            parent, _, last = ("iothub." + name).rpartition(".")
            sys.modules.pop(parent + "." + last, None)
            sys.modules[parent].__dict__.pop(last, None)


def has_heap(size):
    """Whether so many bytes of heap are free; on CPython always."""
    if not hasattr(gc, "mem_free"):
        return True
    if gc.mem_free() < size:
        gc.collect()
    return gc.mem_free() >= size


def unix_time():
    """Whole seconds since 1970-01-01 UTC, on ports with another epoch too."""
    return int(time.time()) + EPOCH


_SPAN = const(0x3FFFFFFF)  # what ticks can tell apart: they wrap after 12.4 days
_seconds = 0  # up to _counted, in ticks
_counted = ticks_ms() & _SPAN  # type: ignore[operator]


def uptime():
    """Whole seconds since the library was loaded, however many, whatever is done to the clock.

    It must be asked once in twelve days: the supervisor's ticker, Health and Watchdog do.
    """
    global _seconds, _counted
    passed = (ticks_ms() - _counted & _SPAN) // 1000  # type: ignore[operator]
    _seconds += passed
    _counted = _counted + passed * 1000 & _SPAN
    return _seconds


def random():
    """0 <= x < 1, from the system's entropy: the port's own random may begin with one seed."""
    return int.from_bytes(os.urandom(3), "big") / 16777216


async def wait_for(awaitable, seconds, stage):
    """The result of `awaitable`; OperationTimeout at `stage` if it takes longer than `seconds`."""
    try:
        return await _wait_for(awaitable, seconds)
    except asyncio.TimeoutError:
        raise OperationTimeout("no answer within %g s" % seconds, stage)


def quote(text):
    """Percent-encode `text` (str, or UTF-8 bytes): all but letters, digits and -_.~ as %XX."""
    out = bytearray()
    write_quoted(out, text)
    return out.decode()


def write_quoted(out, text):
    """Append what quote(text) gives to a bytearray."""
    at = len(out)
    out.extend(utf8(text) if isinstance(text, str) else text)
    for i in range(at, len(out)):
        byte = out[i]
        if not (48 <= byte <= 57 or 97 <= byte <= 122 or 65 <= byte <= 90 or byte in _SAFE):
            break
    else:
        return  # the usual case: nothing needs encoding, and no heap is taken
    rest = bytes(out[i:])
    out[i:] = b""
    for byte in rest:
        if 48 <= byte <= 57 or 97 <= byte <= 122 or 65 <= byte <= 90 or byte in _SAFE:
            out.append(byte)
        else:
            out.append(37)
            out.append(_HEX[byte >> 4])
            out.append(_HEX[byte & 15])


def unquote(text):
    """Decode %XX in `text` (str); what is no escape stays as it is, and + stays a +.

    ValueError: the decoded bytes are not UTF-8.
    """
    if "%" not in text:
        return text
    data = text.encode()
    out = bytearray()
    i, end = 0, len(data)
    while i < end:
        byte = data[i]
        i += 1
        if byte == 37 and i + 1 < end:
            digits = data[i : i + 2].upper()
            high, low = _HEX.find(digits[:1]), _HEX.find(digits[1:])
            if high >= 0 and low >= 0:
                byte = high << 4 | low
                i += 2
        out.append(byte)
    return out.decode()
