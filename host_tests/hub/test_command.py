"""python -m tools hub and python -m tools device, as a user runs them."""

import asyncio
import os
import signal

import pytest

from host_tests.support.processes import run_tools
from tools.hub import certificates
from tools.local_hub import running_hub
from tools.service.client import ServiceClient

PATIENCE = 20


def scenario_of(function, *arguments):
    asyncio.run(asyncio.wait_for(function(*arguments), 60))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_hub_prints_one_json_line_and_stops_cleanly(tmp_path, number):
    async def scenario():
        async with running_hub(tmp_path) as hub:
            assert set(hub) == {
                "mqtt_port",
                "amqp_port",
                "amqp_plain_port",
                "https_port",
                "ca_file",
                "id_scope",
                "service_connection_string",
                "eventhub_connection_string",
            }
            for name in ("ca.key", "server.key", "hub.json", "hub.sqlite"):
                assert os.stat(tmp_path / name).st_mode & 0o077 == 0, name
            hub.process.send_signal(number)
            assert await hub.process.lines() == []
            assert await hub.process.wait() == 0
        assert not (tmp_path / "hub.json").exists()

    scenario_of(scenario)


def test_port_in_use_is_one_clear_error(tmp_path):
    async def scenario():
        taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        async with taken:
            port = str(taken.sockets[0].getsockname()[1])
            done = await asyncio.to_thread(
                run_tools, "hub", "--data", str(tmp_path), "--mqtt-port", port, "--https-port", "0"
            )
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(f"hub: port {port} for mqtt:")
        assert "Traceback" not in done.stderr

    scenario_of(scenario)


def test_device_command(tmp_path):
    async def scenario():
        async with running_hub(tmp_path) as ports:
            data = ("--data", str(tmp_path))
            made = await asyncio.to_thread(run_tools, "device", "create", "board-1", *data)
            assert made.returncode == 0, made.stderr
            start = f"HostName=localhost:{ports['mqtt_port']};DeviceId=board-1;SharedAccessKey="
            assert made.stdout.startswith(start)
            shown = await asyncio.to_thread(run_tools, "device", "show", "board-1", *data)
            assert shown.stdout == made.stdout
            for front, name in (("amqp", "amqp"), ("websockets", "https")):
                arguments = ("device", "show", "board-1", "--for", front)
                shown = await asyncio.to_thread(run_tools, *arguments, *data)
                port = ports[f"{name}_port"]
                assert shown.stdout == made.stdout.replace(str(ports["mqtt_port"]), str(port))
            listed = await asyncio.to_thread(run_tools, "device", "list", *data)
            assert listed.stdout == "board-1 enabled Disconnected\n"
            again = await asyncio.to_thread(run_tools, "device", "create", "board-1", *data)
            assert again.returncode == 1
            assert "DeviceAlreadyExists" in again.stderr
            assert "Traceback" not in again.stderr
            gone = await asyncio.to_thread(run_tools, "device", "delete", "board-1", *data)
            assert gone.returncode == 0
        nobody = await asyncio.to_thread(run_tools, "device", "list", *data)
        assert nobody.returncode == 1
        assert "no hub is running" in nobody.stderr

    scenario_of(scenario)


def test_acknowledged_changes_survive_kill_9(tmp_path):
    async def before():
        async with (
            running_hub(tmp_path) as hub,
            ServiceClient.create_for_local_hub(hub) as service,
        ):
            made = await service.create_device("dev")
            await service.send_c2d_message("dev", b"kept", {"a": None})
            await service.patch_twin("dev", {"properties": {"desired": {"kept": True}}})
            hub.process.kill()
            return made

    async def scenario():
        made = await before()
        async with (
            running_hub(tmp_path) as ports,
            ServiceClient.create_for_local_hub(ports) as service,
        ):
            device = await service.get_device("dev")
            assert device["authentication"] == made["authentication"]
            assert device["cloudToDeviceMessageCount"] == 1
            twin = await service.get_twin("dev")
            assert twin["properties"]["desired"]["kept"] is True

    scenario_of(scenario)


def test_device_command_with_certificates_and_modules(tmp_path):
    authority, key = tmp_path / "mine.pem", tmp_path / "mine.key"
    certificates.make_ca(authority, key)

    async def scenario():
        async with (
            running_hub(tmp_path) as ports,
            ServiceClient.create_for_local_hub(ports) as service,
        ):

            async def device(*arguments):
                data = ("--data", str(tmp_path))
                return await asyncio.to_thread(run_tools, "device", *arguments, *data)

            made = await device("create", "own", "--certificate", str(authority))
            assert made.stdout.endswith(";DeviceId=own;x509=true\n")
            kept = (await service.get_device("own"))["authentication"]
            assert kept["type"] == "selfSigned"
            assert len(kept["x509Thumbprint"]["primaryThumbprint"]) == 40
            assert (await device("trust", str(authority))).returncode == 0
            assert (await device("create", "signed", "--signed")).returncode == 0
            kept = (await service.get_device("signed"))["authentication"]
            assert kept["type"] == "certificateAuthority"
            made = await device("create", "host", "--module", "part")
            assert ";DeviceId=host;ModuleId=part;SharedAccessKey=" in made.stdout
            assert (await device("show", "host", "--module", "part")).stdout == made.stdout
            for arguments in (
                ("create", "x", "--certificate", str(key)),
                ("trust", str(key)),
                ("trust", str(tmp_path / "nothing")),
            ):
                refused = await device(*arguments)
                assert refused.returncode == 1
                assert refused.stderr.startswith("device: ")
                assert "Traceback" not in refused.stderr

    scenario_of(scenario)
