"""The local hub for synchronous tests, and python -m tools."""

import asyncio
import contextlib
import subprocess
import sys
import threading
from pathlib import Path

from tools.local_hub import running_hub

PATIENCE = 20


@contextlib.contextmanager
def blocking(manager, patience=60):
    """Enter an asynchronous context manager from code that blocks.

    Yields (its value, call): call(coroutine) runs a coroutine on the manager's event loop, which
    has a thread of its own.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def call(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(patience)

    try:
        value = call(manager.__aenter__())
        try:
            yield value, call
        finally:
            call(manager.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def hub_process(folder):
    """Run a hub with its state in `folder`; yields a RunningHub."""
    with blocking(running_hub(folder)) as (hub, _):
        yield hub


def service_key(hub):
    """The key of the policy in a hub's service connection string."""
    return hub["service_connection_string"].partition("SharedAccessKey=")[2]


def ca_pem(hub):
    """A hub's CA, as PEM text."""
    return Path(hub["ca_file"]).read_text()


def resident_memory(process):
    """The resident memory of a Process, in bytes."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096


def run_tools(*arguments, patience=PATIENCE, **options):
    """Run python -m tools with these arguments; the CompletedProcess, its output as text."""
    return subprocess.run(
        [sys.executable, "-m", "tools", *arguments],
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
        **options,
    )
