"""Times as AMQP has them, in ms since 1970-01-01 UTC, to and from ISO 8601.

Loaded with the first one. It counts the days itself: the time functions of a board end in 2068.
"""

_DAY = 86400000  # ms


def milliseconds(moment):
    """The ms of a datetime or a date, or of text such as 2030-01-31T23:59:59.5Z or 2030-01-31.

    It is UTC unless it has an offset such as +01:00. ValueError.
    """
    text = moment.isoformat() if hasattr(moment, "isoformat") else moment
    try:
        year, month, day = [int(part) for part in text[:10].split("-")]
        clock, offset = text[11:].rstrip("Zz"), 0
        for sign in ("+", "-"):
            clock, found, zone = clock.partition(sign)
            if found:
                offset = int(sign + zone[:2]) * 60 + int(sign + zone[-2:])
        hours, minutes, seconds = ((clock or "00") + ":00:00").split(":")[:3]
        seconds, _, fraction = seconds.partition(".")
        if not (1 <= month <= 12 and 1 <= day <= 31 and len(seconds) == 2):
            raise ValueError
        minutes = int(hours) * 60 + int(minutes) - offset
        rest = int(seconds) * 1000 + int((fraction + "000")[:3])
    except (TypeError, ValueError):
        text = "expiry_time_utc is %r: give a datetime, or text such as 2030-01-31T23:59:59Z"
        raise ValueError(text % (moment,))
    return _days(year, month, day) * _DAY + minutes * 60000 + rest


def iso(milliseconds):
    """Text such as 2030-01-31T23:59:59.500Z, of ms since 1970."""
    days, rest = divmod(milliseconds, _DAY)
    year = days * 400 // 146097 + 1971  # one too many as a rule: 400 years have 146097 days
    while days < _days(year, 1, 1):
        year -= 1
    month = 12
    while days < _days(year, month, 1):
        month -= 1
    day = days - _days(year, month, 1) + 1
    clock = rest // 3600000, rest // 60000 % 60, rest // 1000 % 60, rest % 1000
    return "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ" % ((year, month, day) + clock)


def _days(year, month, day):
    """Days since 1970-01-01, with the year from March on, so that its last day is the leap day."""
    if month < 3:
        year, month = year - 1, month + 12
    leaps = year // 4 - year // 100 + year // 400
    return 365 * year + leaps + (153 * month - 457) // 5 + day - 719469
