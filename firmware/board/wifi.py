"""Wi-Fi: join a network, with a deadline. The driver then keeps the connection by itself."""

import time

import network


def connect(ssid, password, timeout=20):
    """Join `ssid`; the board's IP address. OSError: not within `timeout` seconds, and why."""
    station = network.WLAN(network.STA_IF)
    station.active(True)
    if not station.isconnected():
        station.connect(ssid, password)
        give_up = time.ticks_add(time.ticks_ms(), timeout * 1000)
        while not station.isconnected():
            if time.ticks_diff(give_up, time.ticks_ms()) < 0:
                raise OSError("Wi-Fi: %s not joined in %d s%s" % (ssid, timeout, _why(station)))
            time.sleep_ms(100)
    return station.ifconfig()[0]


def _why(station):
    status = station.status()
    for name in ("STAT_WRONG_PASSWORD", "STAT_NO_AP_FOUND", "STAT_CONNECT_FAIL"):
        if getattr(network, name, None) == status:
            return ": " + name[5:].lower().replace("_", " ")
    return ""
