"""Whether the clock is wrong: asked when a token or a certificate is refused, loaded then."""

import time

from iothub.compat import EPOCH, unix_time

from . import clock

# Nothing runs this code before it was written: an earlier time is a clock that was never set.
_BORN = 1767225600  # 2026-01-01


def check(host=None):
    """The client's check_clock: True if the clock was wrong and is set now, False if it is right.

    Without an answer from NTP the latest time that remember() saved is the floor; None where
    the clock is past that already, so that nobody can tell.
    """
    before = unix_time()
    try:
        clock.set_from_network(host, 2)
    except OSError:
        floor = max(_BORN, clock.remembered())
        if before >= floor:
            return None
        _set(floor)
        return True
    return abs(unix_time() - before) > 60


def _set(unix):
    import machine

    year, month, day, hour, minute, second, weekday = time.gmtime(unix - EPOCH)[:7]
    machine.RTC().datetime((year, month, day, weekday, hour, minute, second, 0))
