"""NTP that answers with the host's time while the Wi-Fi is up."""

import time
from utime import time as _right

import _host

host = "pool.ntp.org"
timeout = 1


def settime():
    if _host.load("wifi", b"up") != b"up":
        raise OSError(110)
    time._set(int(_right()))
