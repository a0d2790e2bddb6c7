"""What a client is doing, line by line on the console. Off, it costs a comparison here and there.

    >>> import iothub.log
    >>> iothub.log.on()              states, stages of connecting, what goes wrong
    >>> iothub.log.on("debug")       also sizes of what is read and written, and tracebacks
    >>> iothub.log.off()

A line is the seconds since on(), the level, the stage (those of iothub.errors) and a text. Keys,
signatures and passwords are cut out of it.
"""

import sys

from . import errors
from .compat import ticks_ms, uptime

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
_NAMES = {DEBUG: "debug", INFO: "info", WARNING: "warning", ERROR: "error"}
# What follows one of these is secret, up to one of _ENDS.
_SECRETS = ("SharedAccessKey=", "sig=", "assword=", "assword: ", '"primaryKey": "')
_ENDS = ";&,'\"\n "


def on(level="info", show=print):
    """Show what is at `level` or above; show(text) is called with a line. ValueError: no level."""
    for number, name in _NAMES.items():
        if name == level:
            errors.logger = Log(number, show).tell  # type: ignore[assignment]
            return
    raise ValueError("level is debug, info, warning or error")


def off():
    errors.logger = None


class Log:
    """What takes the lines; `level` is the least that is shown."""

    def __init__(self, level, show):
        self._level = level
        self._show = show
        self._start, self._ticks = uptime(), ticks_ms()

    def tell(self, level, stage, what):
        """`what` is a text, a number of bytes, or an exception."""
        if level < self._level:
            return
        if isinstance(what, BaseException):
            text = "%s: %s" % (type(what).__name__, what)
            if self._level == DEBUG:
                text += "\n" + traceback(what)
        else:
            text = str(what)
        line = "%s %-7s %s: %s" % (self._time(), _NAMES[level], stage, text)
        self._show(redact(line))

    def _time(self):
        """Seconds since on(), with ms. Ticks, which wrap, give the ms; a float would lose them."""
        passed = (ticks_ms() - self._ticks) & 0x3FFFFFFF  # type: ignore[operator]
        wraps = ((uptime() - self._start) * 1000 - passed + 0x20000000) >> 30
        passed += wraps << 30
        return "%5d.%03d" % (passed // 1000, passed % 1000)


def traceback(error):
    """Where an exception came from, as text."""
    if hasattr(sys, "print_exception"):  # MicroPython
        import io

        text = io.StringIO()
        sys.print_exception(error, text)
        return text.getvalue()
    from traceback import format_exception  # type: ignore[import-not-found]

    return "".join(format_exception(error))


def redact(text):
    """`text` with *** for what must not be read over somebody's shoulder."""
    for secret in _SECRETS:
        at = text.find(secret)
        while at >= 0:
            start = end = at + len(secret)
            while end < len(text) and text[end] not in _ENDS:
                end += 1
            text = text[:start] + "***" + text[end:]
            at = text.find(secret, start)
    return text
