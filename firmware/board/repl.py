"""The REPL while the watchdog runs: a timer feeds it, because nothing can stop it.

Only a person, or a program that a person starts, begins that: start.run() after Ctrl-C, boot.py
after a soft reset, which the watchdog survives, and iothub deploy and doctor. Watchdog.run() ends
it.
"""

_timer = None


def hold():
    """Feed the watchdog from a timer, unless the settings turn it off."""
    global _timer
    import machine

    from . import forget, settings

    try:
        seconds = settings.watchdog(settings.load())
    except ValueError:  # it may run nevertheless, since an earlier start
        seconds = settings.WATCHDOG
    forget("settings")
    if not seconds or _timer is not None:
        return
    dog = machine.WDT(timeout=seconds * 1000)
    dog.feed()
    for number in (3, 1, 0):  # the last one of this chip: a program begins with the first
        try:
            timer = machine.Timer(number)
            break
        except ValueError:
            pass
    timer.init(mode=machine.Timer.PERIODIC, period=1000, callback=lambda _: dog.feed())
    _timer = timer


def release():
    """The program, or the deployment, feeds the watchdog again."""
    global _timer
    if _timer is not None:
        _timer.deinit()
        _timer = None
