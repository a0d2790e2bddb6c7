"""Programs in the style of Microsoft's samples, unchanged: with azure-iot-device, and with
iothub's azure package in CPython and in MicroPython. They print and do the same.
"""

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path

import pytest

from host_tests.support.board_library import make_board_library
from host_tests.support.certificates import Certificate
from host_tests.support.heaps import heap_option
from iothub.sas import sas_token
from tools import umqtt
from tools.files import ROOT
from tools.interpreter import interpreter
from tools.processes import running
from tools.service.client import ServiceClient

PROGRAMS = Path(__file__).parent / "azure_programs"
PATIENCE = 60
# azure-iot-device dials fixed ports: that alone is changed.
REDIRECT = """
import os
import paho.mqtt.client
connect = paho.mqtt.client.Client.connect
def redirected(self, host, port=1883, *arguments, **options):
    return connect(self, host, int(os.environ["PORT_%d" % port]), *arguments, **options)
paho.mqtt.client.Client.connect = redirected
"""


class Runner:
    """Runs a program with azure-iot-device, or with iothub in CPython or in MicroPython."""

    def __init__(self, name, hub, folder):
        self.name = name
        self.hub = hub
        self._folder = folder
        if name == "azure-iot-device":
            (folder / "sitecustomize.py").write_text(REDIRECT)
            return
        make_board_library(folder, hub["ca_file"])
        (folder / "azure").symlink_to(ROOT / "firmware" / "shim" / "azure")
        if name == "cpython":  # it finds umqtt.simple
            (folder / "iothub_tools").symlink_to(ROOT / "tools")
        if name == "micropython":
            (folder / "uuid.py").symlink_to(ROOT / "firmware" / "shim" / "uuid.py")

    def host(self, front="mqtt"):
        if self.name == "azure-iot-device":
            return "localhost"
        return f"localhost:{self.hub[f'{front}_port']}"

    @contextlib.asynccontextmanager
    async def run(self, program, **variables):
        """A Process that runs azure_programs/`program`.py."""
        command = [sys.executable, "-u"]
        environment = {
            **os.environ,
            **variables,
            "SSL_CERT_FILE": self.hub["ca_file"],
            "PORT_8883": str(self.hub["mqtt_port"]),
            "PORT_443": str(self.hub["https_port"]),
            "PYTHONPATH": str(self._folder),
            "PYTHONWARNINGS": "ignore",
        }
        if self.name == "cpython":
            command = [sys.executable, "-u", "-S"]  # without site-packages' azure
        if self.name == "micropython":
            command = [interpreter(), *heap_option("160wK")]
            environment["MICROPYPATH"] = f"{self._folder}:{umqtt.folder()}:.frozen"
        command.append(str(PROGRAMS / f"{program}.py"))
        # azure-iot-device may complain of a callback that comes after its task was cancelled.
        log = sys.stderr if self.name == "azure-iot-device" else None
        async with running(command, environment=environment, log=log, patience=PATIENCE) as made:
            yield made


async def lines(program, until=None):
    """The lines that a program prints, up to one; without it, to the end."""
    if until is None:
        return await program.lines()
    found = [await program.line()]
    while found[-1] != until:
        found.append(await program.line())
    return found


@pytest.fixture(params=["azure-iot-device", "cpython", "micropython"])
def runner(request, hub, tmp_path):
    return Runner(request.param, hub, tmp_path)


def play(runner, scenario):
    """Run scenario(service, a new device's id, its key)."""

    async def main():
        async with ServiceClient.create_for_local_hub(runner.hub) as service:
            name = f"{scenario.__qualname__.partition('.')[0]}-{runner.name}"
            made = await service.create_device(name)
            key = made["authentication"]["symmetricKey"]["primaryKey"]
            await scenario(service, name, key)

    asyncio.run(asyncio.wait_for(main(), 100))


def connection_string(runner, name, key, front="mqtt"):
    text = f"HostName={runner.host(front)};DeviceId={name};SharedAccessKey={key}"
    return {"IOTHUB_DEVICE_CONNECTION_STRING": text}


async def telemetry(service, name, count):
    events = service.local.telemetry(name)
    return [await anext(events) for _ in range(count)]


def test_send_message(runner):
    async def scenario(service, name, key):
        async with runner.run("send_message", **connection_string(runner, name, key)) as program:
            printed = await lines(program)
        assert printed == [f"sending message #{i}" for i in range(1, 11)] + ["done sending"]
        events = await telemetry(service, name, 10)
        assert {e["body"] for e in events} == {b"test wind speed %d" % i for i in range(1, 11)}
        for event in events:
            assert event["application"] == {"tornado-warning": "yes"}
            assert event["system"]["correlation-id"] == "correlation-1234"
            assert len(event["system"]["message-id"]) == 36
            assert event["system"]["content-type"] == "application/json"

    play(runner, scenario)


def test_receive_message(runner):
    async def scenario(service, name, key):
        async with runner.run(
            "receive_message", **connection_string(runner, name, key)
        ) as program:
            await lines(program, "READY")
            await service.send_c2d_message(name, "eins ü".encode(), {"p": "q", "a": ""})
            await service.send_c2d_message(name, b"zwei", content_type="text/plain")
            printed = await lines(program)
        start, properties = "the data in the message received was", "custom properties are"
        assert [line for line in printed if "custom" not in line] == [
            start, "eins ü", "[('a', ''), ('p', 'q')]", "content Type: None",
            start, "zwei", "[]", "content Type: text/plain",
        ]  # fmt: skip
        assert printed.count(properties) == 2
        assert (await service.get_device(name))["cloudToDeviceMessageCount"] == 0

    play(runner, scenario)


def test_receive_twin_patch(runner):
    async def scenario(service, name, key):
        variables = connection_string(runner, name, key)
        async with runner.run("receive_twin_patch", **variables) as program:
            printed = await lines(program, "READY")
            await asyncio.sleep(0.5)
            await service.patch_twin(name, {"properties": {"desired": {"fan": {"speed": 3}}}})
            printed += await lines(program)
        assert printed == [
            "Setting reported temperature to 320",
            "Twin document:",
            "['desired', 'reported'] 86",
            "READY",
            "the data in the desired properties patch was: {'speed': 3}",
        ]
        reported = (await service.get_twin(name))["properties"]["reported"]
        assert reported["fan"]["speed"] == 3

    play(runner, scenario)


def test_receive_direct_method(runner):
    async def scenario(service, name, key):
        variables = connection_string(runner, name, key)
        async with runner.run("receive_direct_method", **variables) as program:
            await lines(program, "READY")
            assert await service.invoke_method(name, "method1", {"a": [1, None]}) == (
                200,
                {"result": True, "data": {"a": [1, None]}},
            )
            assert (await service.invoke_method(name, "other", None))[0] == 400
            assert (await service.invoke_method(name, "stop", None))[1]["data"] == 1234
            assert await lines(program) == [
                "executed method1", "executed unknown method: other", "executed stop"
            ]  # fmt: skip

    play(runner, scenario)


def test_recurring_telemetry(runner):
    async def scenario(service, name, key):
        variables = connection_string(runner, name, key)
        async with runner.run("recurring_telemetry", **variables) as program:
            assert await lines(program) == ["telemetry was stopped by the user"]
        bodies = [event["body"] for event in await telemetry(service, name, 3)]
        assert bodies == [b"reading 1", b"reading 2", b"reading 3"]

    play(runner, scenario)


def test_ready_token(runner):
    async def scenario(service, name, key):
        uri = f"{runner.host()}/devices/{name}"
        variables = {
            "IOTHUB_DEVICE_SAS_TOKEN": sas_token(uri, key, time.time() + 600),
            "IOTHUB_DEVICE_NEXT_TOKEN": sas_token(uri, key, time.time() + 3600),
        }
        async with runner.run("ready_token", **variables) as program:
            assert await lines(program) == [
                "connected: True", "that token is for another device", "connected: False",
                "that is no token", "True",
            ]  # fmt: skip
        bodies = [event["body"] for event in await telemetry(service, name, 2)]
        assert bodies == [b"with a token that somebody else made", b"with the next token"]

    play(runner, scenario)


def test_x509(runner, tmp_path):
    async def scenario(service, name, key):
        shown = Certificate(tmp_path, name)
        thumbprint = {"primaryThumbprint": shown.thumbprint}
        how = {"type": "selfSigned", "x509Thumbprint": thumbprint}
        await service.update_device(name, authentication=how)
        variables = {
            "X509_CERT_FILE": str(shown.file),
            "X509_KEY_FILE": str(shown.key_file),
            "HOSTNAME_OF_HUB": runner.host(),
            "DEVICE_ID": name,
        }
        async with runner.run("x509", **variables) as program:
            assert await lines(program) == [f"sending message #{i}" for i in (1, 2, 3)]
        assert (await telemetry(service, name, 3))[-1]["body"] == b"test wind speed 3"

    play(runner, scenario)


def test_websocket(runner):
    async def scenario(service, name, key):
        variables = connection_string(runner, name, key, "https")
        async with runner.run("websocket", **variables) as program:
            printed = await lines(program)
        assert printed == [f"sending message #{i}" for i in (1, 2, 3)] + ["connected: False"]
        assert (await telemetry(service, name, 3))[-1]["body"] == b"test wind speed 3"

    play(runner, scenario)


def test_provisioning(runner):
    async def scenario(service, name, key):
        enrolled = f"enrolled-{runner.name}"
        made = await service.enrollments.create(enrolled)
        variables = {
            "PROVISIONING_HOST": runner.host(),
            "PROVISIONING_REGISTRATION_ID": enrolled,
            "PROVISIONING_IDSCOPE": runner.hub["id_scope"],
            "PROVISIONING_SYMMETRIC_KEY": made["attestation"]["symmetricKey"]["primaryKey"],
            "HOSTNAME_OF_HUB": runner.host(),
        }
        async with runner.run("provisioning", **variables) as program:
            assert await lines(program) == [
                "The complete registration result is assigned", enrolled, "sent"
            ]  # fmt: skip
        assert (await telemetry(service, enrolled, 1))[0]["body"] == b"provisioned"

    play(runner, scenario)


def test_queues(runner):
    async def scenario(service, name, key):
        async with runner.run("queues", **connection_string(runner, name, key)) as program:
            await lines(program, "READY")
            await service.send_c2d_message(name, b"one")
            await service.send_c2d_message(name, b"two")
            assert await service.invoke_method(name, "wanted", 5) == (200, {"got": 5})
            await service.patch_twin(name, {"properties": {"desired": {"fan": 9}}})
            assert sorted(await lines(program)) == ["9", "answered", "one", "two"]

    play(runner, scenario)


def test_synchronous(runner):
    async def scenario(service, name, key):
        async with runner.run("synchronous", **connection_string(runner, name, key)) as program:
            printed = await lines(program, "READY")
            await service.send_c2d_message(name, b"hello")
            printed += await lines(program)
        assert printed == ["True", "READY", "hello", "True", "False True True"]
        bodies = [event["body"] for event in await telemetry(service, name, 3)]
        assert bodies == [b"reading 0", b"reading 1", b"reading 2"]

    play(runner, scenario)
