"""python -m tools service, as a user runs it."""

import json
import os
import signal
import subprocess
import sys

import pytest

from host_tests.support.processes import hub_process, run_tools

PATIENCE = 20


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory):
    """The data folder of a running hub with the devices a and b."""
    folder = tmp_path_factory.mktemp("service")
    with hub_process(folder):
        for name in ("a", "b"):
            run_tools("device", "create", name, "--data", str(folder))
        yield folder


def service(hub_folder, *arguments, **options):
    return run_tools("service", *arguments, "--data", str(hub_folder), **options)


def follow(hub_folder, *arguments):
    """A process of `tools service` that prints events as they arrive."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "tools", "service", "--data", str(hub_folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupted(process):
    """End a process with Ctrl-C, which must be a success: its standard error."""
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    return errors


def test_messages_and_feedback(hub_folder):
    sent = service(hub_folder, "c2d", "send", "a", "-", "--ack", "full", "--message-id", "m-1",
                   "--property", "colour=grün", "--property", "empty=", input="hällo")  # fmt: skip
    assert (sent.returncode, sent.stdout) == (0, ""), sent.stderr
    reader = follow(hub_folder, "feedback", "--json")
    listed = service(hub_folder, "query", "SELECT * FROM devices WHERE deviceId = 'a'")
    assert json.loads(listed.stdout)["cloudToDeviceMessageCount"] == 1
    run_tools("device", "delete", "nobody", "--data", str(hub_folder))
    purged = service(hub_folder, "c2d", "send", "b", "x", "--ack", "full", "--message-id", "m-2")
    assert purged.returncode == 0
    assert interrupted(reader) == ""


def test_events_are_printed_as_they_arrive(hub_folder):
    reader = follow(hub_folder, "events", "--from", "beginning", "--json")
    first = json.loads(reader.stdout.readline())
    assert first["deviceId"] in ("a", "b")
    assert first["annotations"]["iothub-message-source"] == "deviceLifecycleEvents"
    patched = service(hub_folder, "twin", "patch", "a", '{"tags": {"floor": 3}}')
    assert json.loads(patched.stdout)["tags"] == {"floor": 3}
    while (event := json.loads(reader.stdout.readline()))["body"] != '{"tags": {"floor": 3}}':
        pass
    assert event["deviceId"] == "a"
    assert interrupted(reader) == ""
    number = event["sequenceNumber"]
    for start in (str(number - 1), f"offset={int(event['offset']) - 1}"):
        place = ("--partition", event["partition"], "--from", start)
        reader = follow(hub_folder, "events", *place)
        assert '"floor": 3' in reader.stdout.readline()
        interrupted(reader)


def test_twin_query_and_method(hub_folder):
    twin = json.loads(service(hub_folder, "twin", "get", "a").stdout)
    assert twin["deviceId"] == "a"
    rows = service(hub_folder, "query", "SELECT * FROM devices").stdout.splitlines()
    assert {json.loads(row)["deviceId"] for row in rows} == {"a", "b"}
    called = service(hub_folder, "method", "a", "go", "{}")
    assert called.returncode == 1
    assert "DeviceNotOnline" in called.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("c2d", "send", "nobody", "x"), "amqp:not-found"),
        (("twin", "get", "nobody"), "404"),
        (("twin", "patch", "a", "{"), "that is not JSON"),
        (("events", "--from", "yesterday"), "--from yesterday"),
        (("events", "--partition", "9"), "404"),
        (("query", "SELECT nonsense"), "400"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_errors_are_one_line(hub_folder, arguments, words):
    refused = service(hub_folder, *arguments)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert refused.stderr.count("\n") == 1, refused.stderr


def test_hub_from_the_environment(hub_folder, tmp_path):
    running = json.loads((hub_folder / "hub.json").read_text())
    text = running["service_connection_string"].replace(
        f":{running['https_port']}", f":{running['amqp_port']}"
    )
    environment = {**os.environ, "IOTHUB_SERVICE_CONNECTION_STRING": text}
    sent = run_tools(
        "service", "--ca", running["ca_file"], "c2d", "send", "b", "x", env=environment
    )
    assert sent.returncode == 0, sent.stderr
    environment["IOTHUB_SERVICE_CONNECTION_STRING"] = "HostName=x"
    refused = run_tools("service", "c2d", "send", "b", "x", env=environment)
    assert "SharedAccessKeyName is missing" in refused.stderr
    nobody = service(tmp_path, "twin", "get", "a")
    assert "no hub is running" in nobody.stderr
