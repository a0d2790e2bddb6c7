"""Start-up: settings, Wi-Fi, clock. What fails is one line on the console, and the REPL stays."""

import gc

from board import clock, settings, wifi

gc.threshold(4096)  # collect often, or a small heap falls to pieces while main.py loads

try:
    _settings = settings.load()
    print("boot: Wi-Fi", wifi.connect(_settings["wifi_ssid"], _settings["wifi_password"]))
    clock.set_from_network(_settings.get("ntp_host"))
except (OSError, ValueError) as error:
    print("boot:", error)
