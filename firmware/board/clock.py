"""The clock: certificates and SAS tokens need the right time, and a board starts without it."""

import time

from iothub.compat import unix_time

# Nothing runs this code before it was written: an earlier time is a clock that was never set.
_FLOOR = 1767225600  # 2026-01-01


def is_set():
    """Whether the clock can be right."""
    return unix_time() >= _FLOOR


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
