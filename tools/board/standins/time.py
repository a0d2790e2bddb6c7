"""The clock: it starts in 2000 at power-on, and keeps running through resets once it is set."""

import _host
from utime import *  # noqa: F403
from utime import gmtime as _gmtime
from utime import time as _exact


def _time():
    return int(_exact())


_POWER_ON = 946684800  # 2000-01-01, in seconds since 1970
_ahead = int(_host.load("clock", b"0"))


def _set(now):
    global _ahead
    _ahead = now - _time() or 1
    _host.save("clock", str(_ahead).encode())


if not _ahead:
    _set(_POWER_ON)


def time():
    return _time() + _ahead


def time_ns():
    return time() * 1000000000


def gmtime(seconds=None):
    return _gmtime(time() if seconds is None else seconds)


localtime = gmtime
