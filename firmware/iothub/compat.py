"""What differs between MicroPython and CPython, in one place."""

import time

try:
    from time import ticks_diff, ticks_ms

    from micropython import const

    def utf8(text):
        """The bytes of a str, for whoever takes a buffer: here a str is one itself."""
        return text
except ImportError:
    utf8 = str.encode

    def const(value):  # type: ignore[misc]
        """On MicroPython the compiler folds const(); here it is the value itself."""
        return value

    def ticks_ms():
        """Milliseconds of a monotonic clock."""
        return int(time.monotonic() * 1000)  # type: ignore[attr-defined]

    def ticks_diff(now, start):  # type: ignore[no-redef]
        """Milliseconds from `start` to `now`."""
        return now - start


# ESP32 counts from 2000, the unix port and CPython from 1970; tokens want 1970.
EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0


def unix_time():
    """Whole seconds since 1970-01-01 UTC, whatever the port's own epoch is."""
    return int(time.time()) + EPOCH
