"""A Wi-Fi that is up, is down, or refuses the password, as the host's file `wifi` says."""

import _host

STA_IF, AP_IF = 0, 1
STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010
STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD = 201, 202
_STATUS = {
    b"up": STAT_GOT_IP,
    b"down": STAT_NO_AP_FOUND,
    b"wrong-password": STAT_WRONG_PASSWORD,
}


class WLAN:
    IF_STA, IF_AP = STA_IF, AP_IF
    _active = _wanted = False

    def __init__(self, interface=STA_IF):
        pass

    def active(self, on=None):
        if on is not None:
            WLAN._active = bool(on)
        return WLAN._active

    def connect(self, ssid=None, key=None):
        if not WLAN._active:
            raise OSError("Wifi Not Started")
        WLAN._wanted = True

    def disconnect(self):
        WLAN._wanted = False

    def isconnected(self):
        return self.status() == STAT_GOT_IP

    def status(self, param=None):
        if param == "rssi":
            return -60
        return _STATUS[_host.load("wifi", b"up")] if WLAN._wanted else STAT_IDLE

    def ifconfig(self):
        return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")

    def ipconfig(self, name):
        return self.ifconfig()[:2]

    def config(self, *args, **kwargs):
        return 0
