"""Start of the application: a client for the board's settings, and what watches over it."""

import asyncio

from . import clock, forget


def make_client():
    """The IoTHubDeviceClient of settings.json; with an outbox, and with a watchdog and a health
    report, where the settings ask for them.

    Call it where the event loop runs. ValueError: a setting is wrong.
    """
    from iothub import IoTHubDeviceClient

    from . import settings

    config = settings.load()
    forget("settings")  # its module is of no use any more
    client = IoTHubDeviceClient.create_from_connection_string(
        config["connection_string"],
        server_verification_cert=config.get("server_verification_cert"),
        check_clock=lambda: _check_clock(config.get("ntp_host")),
        outbox=_outbox(config.get("outbox")),
    )
    if "watchdog" in config:
        _watch_and_report(client, int(config["watchdog"]))
    return client


async def connect(client):
    """Connect, trying again until there is a connection."""
    await client.connect(retry=True)
    print("connected:", client)
    clock.remember()


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


def _watch_and_report(client, seconds):
    """Let the board reset if the client, or the event loop, hangs; report how it has been.

    In the REPL, after Ctrl-C, nothing feeds the watchdog: the board resets.
    """
    from iothub.health import Health

    from . import reset
    from .watchdog import Watchdog

    cause = reset.cause()
    print("started by:", cause)
    asyncio.create_task(Watchdog(client, seconds).run())
    asyncio.create_task(Health(client, cause).run())
