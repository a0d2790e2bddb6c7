"""Why the board started: what the chip knows, and what the watchdog noted before."""

import os

_NOTE = "overrun.txt"
_NAMES = {
    "PWRON_RESET": "power on",
    "HARD_RESET": "reset",
    "WDT_RESET": "watchdog",
    "DEEPSLEEP_RESET": "deep sleep",
    "SOFT_RESET": "soft reset",
}


def note(what, path=_NOTE):
    """Write down what did not end in time: the next start will say so."""
    with open(path, "w") as file:
        file.write(what)


def cause(path=_NOTE):
    """Why the board started, as text; a note is told once: "watchdog: connect"."""
    import machine

    value, found = machine.reset_cause(), "unknown"
    for name, text in _NAMES.items():
        if getattr(machine, name, None) == value:
            found = text
    try:
        with open(path) as file:
            found += ": " + file.read()
    except (OSError, ValueError):  # there is none, or the power went and it is no text
        pass
    try:
        os.remove(path)
    except OSError:
        pass
    return found
