"""The board's settings: from a file, from the environment, or from answers to questions.

They are never options, because options stay in the shell's history and in the list of processes.

    a file        --settings settings.json; firmware/board/settings.py lists the names
    environment   WIFI_SSID, WIFI_PASSWORD, IOTHUB_DEVICE_CONNECTION_STRING
"""

import getpass
import importlib.util
import json
import os
import ssl
import sys
from pathlib import Path

from iothub.options import from_connection_string

from ..files import FIRMWARE

VARIABLES = {
    "wifi_ssid": "WIFI_SSID",
    "wifi_password": "WIFI_PASSWORD",
    "connection_string": "IOTHUB_DEVICE_CONNECTION_STRING",
}
_ASKED = {
    "wifi_ssid": "Wi-Fi network: ",
    "wifi_password": "its password (not shown): ",
    "connection_string": "the device's connection string (not shown): ",
}


def gather(path, root, ask):
    """The settings as a dict, or None if there are none. ValueError: they are wrong.

    path: a file, or None. root: a file with the certificate to trust instead of Azure's, or None.
    ask: whether to ask for missing settings at a terminal.
    """
    if path is not None:
        values = _from_file(path)
    else:
        values = {name: os.environ[v] for name, v in VARIABLES.items() if v in os.environ}
        if not values and not (ask and sys.stdin.isatty()):
            return None
        for name, question in _ASKED.items():
            if name not in values:
                if not (ask and sys.stdin.isatty()):
                    raise ValueError(f"{VARIABLES[name]} is missing from the environment")
                values[name] = _answer(name, question)
    if root is not None:
        values["server_verification_cert"] = "root.der"
    check(values)
    return values


def check(values):
    """ValueError, without a secret, unless a board can start with the settings."""
    board_settings().check(values, "settings")
    from_connection_string(values["connection_string"])


def board_settings():
    """The module firmware/board/settings.py, which checks the settings on the board, too."""
    # By its path: a module of the name `board` may be another package's.
    spec = importlib.util.spec_from_file_location("settings", FIRMWARE / "board" / "settings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def files(values, root):
    """{path on the board: bytes} of the settings and the certificate to trust."""
    found = {"/settings.json": json.dumps(values).encode()}
    if root is not None:
        found["/root.der"] = certificate(root)
    return found


def certificate(path):
    """The DER bytes of a certificate file in PEM or DER. ValueError."""
    data = Path(path).read_bytes()
    if data[:1] == b"\x30":
        return data
    try:
        return ssl.PEM_cert_to_DER_cert(data.decode().strip())
    except ValueError:
        raise ValueError(f"{path} is not a certificate in PEM or DER") from None


def _from_file(path):
    if not path.exists():
        raise ValueError(f"{path} is missing")
    return board_settings().load(str(path))


def _answer(name, question):
    return input(question).strip() if name == "wifi_ssid" else getpass.getpass(question).strip()
