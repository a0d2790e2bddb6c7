"""Fetches the MQTT clients that this firmware's client is compared with.

pip downloads their wheels, from the package registry this machine is set up for, at first use;
their modules are unpacked to the folder peers among the tools' downloads.
"""

import functools
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from .. import files

# chumicro-config is left out: only MQTTClient.from_config() needs it.
PEERS = {
    "chumicro-mqtt": "0.30.3",
    "chumicro-sockets": "0.21.3",
    "chumicro-timing": "0.8.4",
    "aiomqttc": "1.0.7",
}

FETCHED = files.downloads() / "peers"


def folder():
    """The folder that holds the pinned peers' modules, which are fetched unless they are there."""
    pinned = FETCHED / "pinned.json"
    if not pinned.is_file() or json.loads(pinned.read_text()) != PEERS:
        fetch()
    return FETCHED


@functools.cache
def at_hand():
    """Whether folder() has the peers; the reason why not is printed once."""
    try:
        folder()
    except OSError as error:
        print(f"left out: {', '.join(PEERS)}: {error}", file=sys.stderr)
        return False
    return True


def fetch():
    """Download and unpack; the folder appears whole or not at all."""
    FETCHED.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FETCHED.parent) as scratch:
        download(scratch)
        unpacked = Path(scratch) / "unpacked"
        for wheel in Path(scratch).glob("*.whl"):
            unpack(wheel, unpacked)
        (unpacked / "pinned.json").write_text(json.dumps(PEERS))
        shutil.rmtree(FETCHED, ignore_errors=True)
        unpacked.rename(FETCHED)


def download(target):
    """The peers' wheels, into the folder `target`."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "-d", target]
    command += [f"{name}=={version}" for name, version in PEERS.items()]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        why = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise FileNotFoundError(
            f"the peers could not be fetched: {why[-1] if why else done.stderr[-200:].strip()}"
        )


def unpack(wheel, target):
    """Extract only the project's own module or package: aiomqttc's wheel also holds a main.py."""
    module = wheel.name.partition("-")[0]
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            if member == f"{module}.py" or member.startswith(f"{module}/"):
                archive.extract(member, target)
