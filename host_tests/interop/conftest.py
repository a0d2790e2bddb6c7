"""AMQP software that is not of this project: RabbitMQ, and Qpid Proton (Debian's packages)."""

import os
import shutil
import socket
import subprocess
import threading

import pytest

from tools.hub import certificates

PATIENCE = 60
PYTHON = "/usr/bin/python3"  # Debian's, for which python3-qpid-proton is


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """(CA, certificate, key) of a server on localhost."""
    return tuple(map(str, certificates.ensure(tmp_path_factory.mktemp("tls"))))


class Process:
    """A program whose lines a test waits for."""

    def __init__(self, command, **options):
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
        )
        self._watchdog = threading.Timer(300, self._process.kill)
        self._watchdog.start()

    def line(self):
        line = self._process.stdout.readline()
        assert line, "it has ended"
        return line.strip()

    def expect(self, start):
        """The next line that begins with `start`."""
        while not (line := self.line()).startswith(start):
            pass
        return line

    def ask(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self.line()

    def stop(self):
        self._watchdog.cancel()
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.stdin.close()
            self._process.stdout.close()


def program(path, *arguments):
    return Process([PYTHON, str(path), *map(str, arguments)])


@pytest.fixture(scope="module")
def proton_broker(request, tls):
    """(port, CA, Process) of a broker on Proton."""
    ca, certificate, key = tls
    port = free_port()
    broker = program(request.path.parent / "proton_broker.py", port, certificate, key)
    try:
        broker.expect("ready")
        yield port, ca, broker
    finally:
        broker.stop()


@pytest.fixture(scope="module")
def proton_echo(request):
    """Encode a message (bytes) as Proton does, after it has decoded it."""
    echo = program(request.path.parent / "proton_echo.py")
    yield lambda data: bytes.fromhex(echo.ask(data.hex()))
    echo.stop()


@pytest.fixture(scope="module")
def rabbitmq(tls, tmp_path_factory):
    """(port, CA) of a RabbitMQ with its AMQP 1.0 plugin, TLS alone, and the user guest."""
    ca, certificate, key = tls
    folder = tmp_path_factory.mktemp("rabbitmq")
    port, nodes = free_port(), free_port()
    (folder / "enabled_plugins").write_text("[rabbitmq_amqp1_0].\n")
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:{port}\n"
        f"ssl_options.cacertfile = {ca}\nssl_options.certfile = {certificate}\n"
        f"ssl_options.keyfile = {key}\nssl_options.verify = verify_none\n"
        "log.console = true\nlog.console.level = info\nlog.file = false\n"
    )
    environment = {
        **os.environ,
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"interop-{port}@localhost",
        "RABBITMQ_DIST_PORT": str(nodes),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "config"),
    }
    # Debian's wrapper would change to the user rabbitmq, who may not read this folder.
    server = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin")
    assert server, "install rabbitmq-server"
    broker = Process([server], env=environment, stderr=subprocess.STDOUT)
    try:
        while "Server startup complete" not in broker.line():
            pass
        yield port, ca
    finally:
        broker.stop()
