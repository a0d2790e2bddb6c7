"""Microsoft's SDKs for Node.js against the local hub, by sdk.js."""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.service.client import ServiceClient

NODE = Path(__file__).parent / "node"
TRANSPORTS = ("node-mqtt", "node-mqtt-ws", "node-amqp", "node-amqp-ws")
BY_AMQP = [f"{name} {what}" for name in TRANSPORTS[2:] for what in ("reject", "abandon")]
EXPECTED = {
    *(
        f"{name} {what}"
        for name in TRANSPORTS
        for what in ("telemetry", "complete", "twin", "method")
    ),
    *BY_AMQP,
    "x509-mqtt telemetry",
    "x509-amqp telemetry",
    "mqtt refusal",
    "amqp refusal",
}


@pytest.fixture(scope="module")
def node_packages():
    """The folder with the installed SDKs; they are installed once, in build/."""
    folder = Path(__file__).parents[2] / "build" / "node"
    wanted = (NODE / "package.json").read_text()
    installed = folder / "package.json"
    if not installed.exists() or installed.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "new").mkdir()
        (folder / "new" / "package.json").write_text(wanted)
        command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=folder / "new", check=True, timeout=300)
        (folder / "new" / "node_modules").rename(folder / "node_modules")
        installed.write_text(wanted)
    return folder


@pytest.mark.interop
@pytest.mark.timeout(600)
def test_node_sdks(redirected_hub, node_packages, make_certificate):
    shown = make_certificate("node")
    given = {
        "hub": redirected_hub,
        "cert": shown.pem,
        "key": shown.key_file.read_text(),
        "thumbprint": shown.thumbprint,
    }
    shutil.copy(NODE / "sdk.js", node_packages)
    done = subprocess.run(
        ["node", str(node_packages / "sdk.js")],
        input=json.dumps(given),
        env={**os.environ, "NODE_EXTRA_CA_CERTS": redirected_hub["ca_file"]},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line[3:] for line in done.stdout.splitlines() if line.startswith("ok ")]
    assert set(said) == EXPECTED
    events = asyncio.run(telemetry(redirected_hub, [*TRANSPORTS, "x509-mqtt", "x509-amqp"]))
    for name, event in events.items():
        assert json.loads(event["body"]) == {"from": name}
        assert event["application"] == {"a b": "c&d"}
        assert event["system"]["message-id"] == f"id of {name}"
        assert event["system"]["content-type"] == "application/json"


async def telemetry(ports, names):
    """The first telemetry of each device."""
    async with ServiceClient.create_for_local_hub(ports) as service:
        return {name: await anext(service.local.telemetry(name)) for name in names}
