"""The board's settings: settings.json, a JSON object in its file system.

connection_string         the device's, from `iothub device create` or the Azure portal
wifi_ssid, wifi_password  the network; an empty password for an open one
ntp_host                  optional: where the time comes from
server_verification_cert  optional: a file with the hub's root, where it is not Azure's own
outbox                    optional: a folder for readings that wait for a connection, "/outbox"
watchdog                  optional: "off", or after how many seconds a board that hangs resets
"""

import json

_NEEDED = ("connection_string", "wifi_ssid", "wifi_password")
WATCHDOG = 60  # seconds
_OPTIONAL = ("ntp_host", "server_verification_cert", "outbox", "watchdog")


def load(path="settings.json"):
    """The settings as a dict. ValueError: one line that says what is wrong, without its value."""
    try:
        with open(path) as file:
            values = json.load(file)
    except OSError:
        raise ValueError("%s is missing: iothub deploy brings it" % path)
    except ValueError:
        raise ValueError("%s is not JSON: look for a missing quote or comma" % path)
    return check(values, path)


def check(values, path):
    """The settings, if a board can start with them; ValueError, which names `path`, if not."""
    if not isinstance(values, dict):
        raise ValueError("%s is not a JSON object" % path)
    for name in _NEEDED:
        if name not in values:
            raise ValueError("%s: %s is missing" % (path, name))
    for name, value in values.items():
        if name not in _NEEDED and name not in _OPTIONAL:
            raise ValueError("%s: %s is unknown" % (path, name))
        if not isinstance(value, str):
            raise ValueError("%s: %s is not a text in quotes" % (path, name))
        if not value and name != "wifi_password":
            raise ValueError("%s: %s is empty" % (path, name))
    seconds = values.get("watchdog", "off")
    if seconds != "off" and not (seconds.isdigit() and 10 <= int(seconds) <= 3600):
        raise ValueError('%s: watchdog is not from "10" to "3600", nor "off"' % path)
    return values


def watchdog(values):
    """The seconds after which a board that hangs resets, of checked settings; 0: never."""
    seconds = values.get("watchdog", WATCHDOG)
    return 0 if seconds == "off" else int(seconds)
