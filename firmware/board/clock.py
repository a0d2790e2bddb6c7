"""The clock: certificates and SAS tokens need the right time, and a board starts without it."""

import time

from iothub.compat import unix_time

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


def remember(path=_SAVED):
    """The hub has accepted a token of this clock's: save the time, at most once a day."""
    now = unix_time()
    if now - remembered(path) > _DAY:
        with open(path, "w") as file:
            file.write(str(now))


def remembered(path=_SAVED):
    """The time that was saved last, in seconds since 1970; 0: none was."""
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):  # never saved, or the power went while it was
        return 0
