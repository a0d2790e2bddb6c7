"""A Wi-Fi that is there at once, or never: STANDIN_WIFI=down."""

import os

STA_IF = 0
STAT_NO_AP_FOUND = 201
STAT_GOT_IP = 1010


class WLAN:
    def __init__(self, _interface):
        self._connected = False

    def active(self, on=None):
        return True

    def connect(self, ssid, password):
        self._connected = os.getenv("STANDIN_WIFI") != "down"

    def isconnected(self):
        return self._connected

    def status(self):
        return STAT_GOT_IP if self._connected else STAT_NO_AP_FOUND

    def ifconfig(self):
        return ("127.0.0.1",) * 4
