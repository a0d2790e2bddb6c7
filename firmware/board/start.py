"""Start of the application: a client for the board's settings, and what watches over it."""

import asyncio
import gc
import sys
import time

from iothub.compat import uptime  # main.py uses it, too

from . import clock, forget, reset

# Seconds before a restart: the first wait doubles with each failure in a row, up to the longest.
# Ctrl-C ends it, and leads to the REPL.
FIRST_WAIT = 5
LONGEST_WAIT = 600


class SettingError(ValueError):
    """A setting is wrong: only a person can mend that."""


def run(main):
    """Run the coroutine function main() as the board's program.

    An error that leaves main(), or ends a task that nobody awaits, is written down, and the board
    restarts. Ctrl-C, the end of main() and a wrong setting lead to the REPL.
    """
    reset.cause()  # before another reason is noted
    began = uptime()
    try:
        try:
            asyncio.get_event_loop().set_exception_handler(_raise)
            asyncio.run(main())
        except SettingError as error:
            print("main:", error)
            return
        except (Exception, asyncio.CancelledError) as error:
            # What ran for long has failed for another reason than the time before.
            before = 0 if uptime() - began > LONGEST_WAIT else reset.failures
            _restart(error, before + 1)
    except KeyboardInterrupt:
        _hold()
        raise
    _hold()


def make_client():
    """The IoTHubDeviceClient of settings.json, with a health report; with a watchdog and an
    outbox, as the settings have it.

    Call it where the event loop runs. SettingError.
    """
    # First, while there is most heap: compiling a file needs more than its code has.
    from iothub.health import Health

    from . import settings

    try:
        config = settings.load()
        seconds = settings.watchdog(config)
        forget("settings")  # its module is of no use any more
        if seconds:
            from .watchdog import Watchdog
        from iothub import IoTHubDeviceClient

        client = IoTHubDeviceClient.create_from_connection_string(
            config["connection_string"],
            server_verification_cert=config.get("server_verification_cert"),
            check_clock=lambda: _check_clock(config.get("ntp_host")),
            outbox=_outbox(config.get("outbox")),
        )
    except ValueError as error:
        raise SettingError(str(error))
    cause = reset.cause()
    print("started by:", cause)
    if seconds:
        asyncio.create_task(Watchdog(client, seconds).run())
    asyncio.create_task(Health(client, cause).run())
    return client


async def connect(client):
    """Connect, trying again until there is a connection."""
    await client.connect(retry=True)
    print("connected:", client)
    try:
        clock.remember()
    except OSError as error:  # the flash: the program does without
        client.report_error(error)


def _outbox(folder):
    """What keeps telemetry while there is no connection, where the settings name a folder."""
    if folder is None:
        return None
    from iothub import Outbox

    return Outbox(folder)


def _check_clock(ntp_host):
    """The client asks this before it blames the key, or the hub's certificate."""
    from .clock_check import check

    return check(ntp_host)


def _raise(loop, context):
    """asyncio's exception handler: a task has died, and nobody awaits it. This ends main()."""
    raise context["exception"]


def _hold():
    """The program has ended: from now on a timer feeds the watchdog."""
    while True:
        try:
            from . import repl

            repl.hold()
            return
        except KeyboardInterrupt:  # tools send Ctrl-C twice
            pass


def _restart(error, failures):
    """Write down why the program has failed, wait, and reset the board."""
    seconds = LONGEST_WAIT
    try:
        gc.collect()  # what the program had
        sys.print_exception(error)
        seconds = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(failures - 1, 20))
        from iothub.log import redact

        text = redact("%s: %s" % (type(error).__name__, error))[:200]
        if failures > 1:
            text += " (%d in a row)" % failures
        reset.note(text.replace("\n", " "), failures)
        print("main: the board restarts in %d s; Ctrl-C leads to the REPL" % seconds)
        from . import repl

        repl.hold()
    except Exception as other:  # the board restarts nevertheless
        print("main: %s" % type(other).__name__)
    time.sleep(seconds)
    import machine

    machine.reset()
