"""Start-up: settings, Wi-Fi, clock. What fails is one line on the console, and the REPL stays."""

import gc

try:
    execfile("/deploy/finish.py")  # a deployment that was cut off goes on, and resets  # noqa
except OSError:
    pass

import machine

import board
from board import clock, settings, wifi

if machine.reset_cause() == machine.SOFT_RESET:  # the watchdog runs on
    from board import repl

    repl.hold()

gc.threshold(4096)  # collect often, or a small heap falls to pieces while main.py loads

try:
    config = settings.load()
    print("boot: Wi-Fi", wifi.connect(config["wifi_ssid"], config["wifi_password"]))
    clock.set_from_network(config.get("ntp_host"))
except Exception as error:  # main.py has to run nevertheless
    print("boot:", error)

# The Wi-Fi driver goes on by itself: main.py can have the memory.
board.forget("wifi")
board.forget("settings")
wifi = settings = config = None
