"""The clock: certificates and SAS tokens need the right time, and a board starts without it."""

import time

from iothub.compat import EPOCH, unix_time

# Nothing runs this code before it was written: an earlier time is a clock that was never set.
_BORN = 1767225600  # 2026-01-01
_SAVED = "clock.txt"
_DAY = 86400


def set_from_network(host=None, tries=3):
    """Set the clock by NTP. OSError when `tries` requests went without an answer."""
    import ntptime

    ntptime.timeout = 2
    if host:
        ntptime.host = host
    for left in range(tries - 1, -1, -1):
        try:
            ntptime.settime()
            return
        except OSError:
            if not left:
                raise OSError("clock: no answer from %s in %d tries" % (ntptime.host, tries))
            time.sleep_ms(500)


def check(host=None, path=_SAVED):
    """The client's check_clock: True if the clock was wrong and is set now, False if it is right.

    Without an answer from NTP the latest time that remember() saved is the floor; None where
    the clock is past that already, so that nobody can tell.
    """
    before = unix_time()
    try:
        set_from_network(host, 2)
    except OSError:
        floor = max(_BORN, _remembered(path))
        if before >= floor:
            return None
        _set(floor)
        return True
    return abs(unix_time() - before) > 60


def remember(path=_SAVED):
    """The hub has accepted a token of this clock's: save the time, at most once a day."""
    now = unix_time()
    if now - _remembered(path) > _DAY:
        with open(path, "w") as file:
            file.write(str(now))


def _remembered(path):
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):  # never saved, or the power went while it was
        return 0


def _set(unix):
    import machine

    year, month, day, hour, minute, second, weekday = time.gmtime(unix - EPOCH)[:7]
    machine.RTC().datetime((year, month, day, weekday, hour, minute, second, 0))
