"""Why the board started: what the chip knows, and what was noted before."""

import os

_NOTE = "overrun.txt"
_NAMES = {
    "PWRON_RESET": "power on",
    "HARD_RESET": "reset",
    "WDT_RESET": "watchdog",
    "DEEPSLEEP_RESET": "deep sleep",
    "SOFT_RESET": "soft reset",
}

_cause = None  # once it has been read
failures = 0  # of the program, in a row, each with a restart, up to this start: see cause()


def note(what, failures=0, path=_NOTE):
    """Write down why the board resets: the next start tells it. failures: in a row, with this."""
    try:
        with open(path, "w") as file:
            file.write("%s\n%d" % (what, failures))
    except OSError:  # the flash is full: a start without a reason is better than none
        pass


def cause(path=_NOTE):
    """Why the board started, as text: "watchdog: connect", "reset: OSError: 5"."""
    global _cause, failures
    if _cause is None:
        import machine

        value, _cause = machine.reset_cause(), "unknown"
        for name, text in _NAMES.items():
            if getattr(machine, name, None) == value:
                _cause = text
        try:
            with open(path) as file:
                what, _, count = file.read().partition("\n")
            os.remove(path)
            _cause += ": " + what
            if value == machine.HARD_RESET:  # of a power-on a person knows
                failures = int(count)
        except (OSError, ValueError):  # there is none, or the power went and it is no text
            pass
    return _cause
