"""The application: telemetry, messages, twin and methods in one cooperative loop. Edit it.

Desired property telemetryInterval (seconds, 1 to 86400) sets how often readings are sent.
Methods: getStatus, getHealth, reboot.
"""

import asyncio
import gc
import json
import time

import esp32
import machine

from board import clock, forget
from iothub import IoTHubDeviceClient, Message
from iothub.retry import Backoff

interval = 10  # type: float
interval_changed = asyncio.Event()
client = None
started = time.time()


def reading():
    """What is sent: put your sensor here."""
    if hasattr(esp32, "mcu_temperature"):
        celsius = esp32.mcu_temperature()
    else:  # the first ESP32 has °F alone
        celsius = (esp32.raw_temperature() - 32) * 5 // 9
    return {"temperature": celsius, "uptime": time.time() - started}


def on_message(message):
    print("message:", message.data.decode(), json.dumps(message.custom_properties))


async def on_desired(client, patch):
    """Take what the cloud asks for, and report what holds now."""
    global interval
    wanted = patch.get("telemetryInterval", interval)
    if isinstance(wanted, (int, float)) and 1 <= wanted <= 86400:
        interval = wanted
        interval_changed.set()
    else:
        print("telemetryInterval is no number from 1 to 86400; it stays", interval)
    await client.patch_twin_reported_properties({"telemetryInterval": interval})


async def on_method(client, request):
    """Answer a direct method with (status, payload)."""
    print("method:", request.name, request.payload)
    if request.name == "getStatus":
        gc.collect()
        uptime = time.time() - started
        return 200, {"interval": interval, "freeMemory": gc.mem_free(), "uptime": uptime}
    if request.name == "getHealth":
        from iothub.health import snapshot

        return 200, snapshot(client)
    if request.name == "reboot":
        asyncio.create_task(reboot(client))
        return 200, {"rebooting": True}
    return 404, {"error": "no method " + request.name}


async def reboot(client):
    await asyncio.sleep(1)  # let the answer leave
    await client.disconnect()
    machine.reset()


def outbox(config):
    """What keeps readings while there is no connection, where the settings name a folder."""
    if "outbox" not in config:
        return None
    from iothub import Outbox

    return Outbox(config["outbox"])


def watch(client, seconds):
    """Let the board reset where the client, or this loop, hangs; report how it has been.

    In the REPL, after Ctrl-C, nobody feeds the watchdog: the board resets.
    """
    from board import reset
    from board.watchdog import Watchdog
    from iothub.health import Health

    cause = reset.cause()
    print("started by:", cause)
    asyncio.create_task(Watchdog(client, seconds).run())
    asyncio.create_task(Health(client, cause).run())


def check_clock(config):
    """The client asks before it blames the key."""
    from board.clock_check import check

    return check(config.get("ntp_host"))


async def connect(client):
    """Connect, however long it takes."""
    backoff = Backoff()
    while not client.connected:
        try:
            await client.connect()
            print("connected:", client)
            clock.remember()
        except Exception as error:
            print("not connected:", error)
            await asyncio.sleep(backoff.next())


async def send_readings(client):
    while True:
        message = Message(json.dumps(reading()), content_type="application/json")
        message.content_encoding = "utf-8"
        try:
            await client.send_message(message)
            print("sent:", message.data)
        except OSError as error:
            print("not sent:", error)
        interval_changed.clear()
        try:
            await asyncio.wait_for(interval_changed.wait(), interval)
        except asyncio.TimeoutError:
            pass


def load_settings():
    from board import settings

    forget("settings")  # what holds it in memory, once this has returned
    return settings.load()


async def main():
    global client  # for the REPL: after Ctrl-C it prints itself
    config = load_settings()
    client = IoTHubDeviceClient.create_from_connection_string(
        config["connection_string"],
        server_verification_cert=config.get("server_verification_cert"),
        check_clock=lambda: check_clock(config),
        outbox=outbox(config),
    )
    client.on_message_received = on_message
    client.on_method_request_received = lambda request: on_method(client, request)
    client.on_twin_desired_properties_patch_received = lambda patch: on_desired(client, patch)
    if "watchdog" in config:
        watch(client, int(config["watchdog"]))
    if "outbox" in config:
        asyncio.create_task(connect(client))  # readings are kept until it is done
    else:
        await connect(client)
    await send_readings(client)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except ValueError as error:  # a setting that is wrong
        print("main:", error)
