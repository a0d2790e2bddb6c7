"""The host's clock is right already. STANDIN_WIFI=down takes the answer away."""

import os

host = "pool.ntp.org"
timeout = 1


def settime():
    if os.getenv("STANDIN_WIFI") == "down":
        raise OSError(110)
