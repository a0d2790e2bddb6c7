"""The application: telemetry, cloud-to-device messages, device twin and direct methods. Edit it.

The desired property telemetryInterval (seconds, 1 to 86400) sets how often telemetry is sent.
Direct methods: getStatus, getHealth, reboot.
"""

import asyncio
import gc
import json

import esp32
import machine

from board import start
from iothub import Message
from iothub.errors import OperationCancelled

client = None  # for the REPL: after Ctrl-C it prints itself
interval = 10  # type: float
interval_changed = asyncio.Event()


def read_sensor():
    """The telemetry that is sent, as a dict: put your sensor here."""
    if hasattr(esp32, "mcu_temperature"):
        celsius = esp32.mcu_temperature()
    else:  # the first ESP32 has °F alone
        celsius = (esp32.raw_temperature() - 32) * 5 // 9
    return {"temperature": celsius, "uptime": start.uptime()}


def on_message(message):
    """A cloud-to-device message."""
    print("message:", message.data.decode(), json.dumps(message.custom_properties))


async def on_desired_properties(patch):
    """Take the desired properties that the cloud sets, and report what holds now."""
    global interval
    wanted = patch.get("telemetryInterval", interval)
    if isinstance(wanted, (int, float)) and 1 <= wanted <= 86400:
        interval = wanted
        interval_changed.set()
    else:
        print("telemetryInterval is not a number from 1 to 86400; it stays", interval)
    await client.patch_twin_reported_properties({"telemetryInterval": interval})


async def on_method(request):
    """Answer a direct method with (status, payload)."""
    print("method:", request.name, request.payload)
    if request.name == "getStatus":
        gc.collect()
        return 200, {"interval": interval, "freeMemory": gc.mem_free(), "uptime": start.uptime()}
    if request.name == "getHealth":
        from iothub.health import snapshot

        return 200, snapshot(client)
    if request.name == "reboot":
        asyncio.create_task(reboot())
        return 200, {"rebooting": True}
    return 404, {"error": "no method " + request.name}


async def reboot():
    await asyncio.sleep(1)  # the answer leaves first
    await client.disconnect()
    machine.reset()


async def send(reading):
    message = Message(json.dumps(reading), content_type="application/json")
    message.content_encoding = "utf-8"
    try:
        await client.send_message(message)
        print("sent:", message.data)
    except (OSError, OperationCancelled) as error:
        print("not sent:", error)


async def send_telemetry():
    """Send telemetry, and wait for the interval, for ever."""
    while True:
        try:
            reading = read_sensor()
        except Exception as error:  # the sensor's: the next reading may succeed
            client.report_error(error)  # prints it, too
        else:
            await send(reading)
        interval_changed.clear()
        try:
            await asyncio.wait_for(interval_changed.wait(), interval)
        except asyncio.TimeoutError:
            pass


async def main():
    global client
    client = start.make_client()
    client.on_message_received = on_message
    client.on_method_request_received = on_method
    client.on_twin_desired_properties_patch_received = on_desired_properties
    asyncio.create_task(start.connect(client))
    await send_telemetry()


if __name__ == "__main__":
    start.run(main)  # an error that nobody expects restarts the board; Ctrl-C: the REPL
