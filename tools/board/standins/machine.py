"""The unix port's machine module, with the resets, sleep, clock and pins of an ESP32's."""

import _thread
import os
import sys
import time as _time

import _host
from umachine import *  # noqa: F403

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = range(1, 6)


def reset_cause():
    return int(os.getenv("STANDIN_CAUSE") or PWRON_RESET)


def unique_id():
    return b"\x24\x0a\xc4\x00\x00\x01"


def freq(hz=None):
    return 160000000


def _gone(line):
    _host.tell(line)
    while True:  # until the host kills the process, so that no `finally` runs
        _time.sleep(1)


def reset():
    _gone("reset")


def soft_reset():
    sys.exit()


def deepsleep(time_ms=0):
    _gone("deepsleep %d" % time_ms)


def lightsleep(time_ms=0):
    _time.sleep_ms(time_ms)


class WDT:
    def __init__(self, id=0, timeout=5000):
        self._timeout = timeout
        self.feed()

    def feed(self):
        _host.tell("watch %d" % self._timeout)


class Timer:
    """One of the chip's four timers. Its callback runs in a thread, since nothing else would run
    while the unix port's REPL waits for a key.
    """

    ONE_SHOT, PERIODIC = 0, 1
    _settings = {}  # {id: (mode, period, callback)} of those that run

    def __init__(self, id, **settings):
        if not 0 <= id <= 3:
            raise ValueError("invalid Timer number")
        self._id = id
        if settings:
            self.init(**settings)

    def init(self, mode=PERIODIC, period=-1, callback=None):
        Timer._settings[self._id] = settings = (mode, period, callback)
        _thread.start_new_thread(self._run, (settings,))

    def deinit(self):
        Timer._settings.pop(self._id, None)

    def _run(self, settings):
        mode, period, callback = settings
        while True:
            _time.sleep_ms(period)
            if Timer._settings.get(self._id) is not settings:
                return
            callback(self)
            if mode == Timer.ONE_SHOT:
                return


class RTC:
    def datetime(self, fields=None):
        if fields is None:
            year, month, day, hour, minute, second, weekday = _time.gmtime()[:7]
            return year, month, day, weekday, hour, minute, second, 0
        year, month, day, _, hour, minute, second = fields[:7]
        return _time._set(_time.mktime((year, month, day, hour, minute, second, 0, 0)))

    def memory(self, data=None):
        if data is None:
            return _host.load("rtc", b"")
        return _host.save("rtc", data)


class Pin:
    """A pin with nothing connected: an input reads the value that was last written."""

    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_DOWN, PULL_UP = 1, 2

    def __init__(self, id, mode=-1, pull=-1, value=0):
        self._value = value

    def value(self, x=None):
        if x is not None:
            self._value = int(bool(x))
        return None if x is not None else self._value

    __call__ = value

    def on(self):
        self._value = 1

    def off(self):
        self._value = 0
