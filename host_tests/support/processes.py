"""A hub in a process of its own, for tests whose clients block, or are out to break it."""

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path

PATIENCE = 20
_PORTS = ("--mqtt-port", "--https-port", "--amqp-port", "--amqp-plain-port")


class RunningHub(dict):
    """The hub's JSON line, and what follows from it."""

    def __init__(self, line, process):
        super().__init__(json.loads(line))
        self._process = process

    @property
    def service_key(self):
        return self["service_connection_string"].partition("SharedAccessKey=")[2]

    @property
    def authority(self):
        """The hub's CA, as PEM text."""
        return Path(self["ca_file"]).read_text()

    @property
    def memory(self):
        """The process's resident memory, in bytes."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * 4096

    def kill(self):
        """End it without a word, as kill -9 does."""
        self._process.kill()
        self._process.wait(PATIENCE)


@contextlib.contextmanager
def hub_process(folder):
    """Run a hub on free ports, with its state in `folder`; it is a RunningHub."""
    command = [sys.executable, "-m", "tools", "hub", "--data", str(folder)]
    with (folder / "hub.log").open("a") as log:
        process = subprocess.Popen(
            [*command, *(word for port in _PORTS for word in (port, "0"))],
            stdout=subprocess.PIPE,
            stderr=log,
        )
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    line = process.stdout.readline()
    watchdog.cancel()
    try:
        yield RunningHub(line, process)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.stdout.close()


def tools(*arguments, patience=PATIENCE, **options):
    """Run python -m tools with these arguments; the CompletedProcess, its output as text."""
    return subprocess.run(
        [sys.executable, "-m", "tools", *arguments],
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
        **options,
    )
