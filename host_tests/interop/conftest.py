"""Fixtures: RabbitMQ and Qpid Proton, AMQP software of others (Debian's packages)."""

import contextlib
import os
import shutil
import socket

import pytest

from host_tests.support.processes import blocking
from tools.hub import certificates
from tools.processes import running

PATIENCE = 60
PYTHON = "/usr/bin/python3"  # Debian's, for which python3-qpid-proton is


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def server_certificate(tmp_path_factory):
    """(CA, certificate, key) of a server on localhost."""
    return tuple(map(str, certificates.ensure(tmp_path_factory.mktemp("tls"))))


class Broker:
    """A running program, for tests that have an event loop of their own."""

    def __init__(self, process, call):
        self._process = process
        self._call = call

    def line(self):
        """The next line of its output."""
        return self._call(self._process.line())

    def expect(self, start):
        """The next line that begins with `start`."""
        while not (line := self.line()).startswith(start):
            pass
        return line

    def ask(self, line):
        """Send a line: the line that answers it."""
        self._call(self._process.write(line))
        return self.line()


@contextlib.contextmanager
def program(*command, **options):
    """Run a command: a Broker."""
    made = running([*map(str, command)], patience=PATIENCE, terminate=True, **options)
    with blocking(made, PATIENCE) as (process, call):
        yield Broker(process, call)


@pytest.fixture(scope="module")
def proton_broker(request, server_certificate):
    """(port, CA, Broker) of a broker on Proton."""
    ca, certificate, key = server_certificate
    port = free_port()
    path = request.path.parent / "proton_broker.py"
    with program(PYTHON, path, port, certificate, key) as broker:
        broker.expect("ready")
        yield port, ca, broker


@pytest.fixture(scope="module")
def proton_echo(request):
    """proton_echo(bytes of a message): the same message, decoded and encoded by Proton."""
    with program(PYTHON, request.path.parent / "proton_echo.py") as echo:
        yield lambda data: bytes.fromhex(echo.ask(data.hex()))


@pytest.fixture(scope="module")
def rabbitmq(server_certificate, tmp_path_factory):
    """(port, CA) of a RabbitMQ with its AMQP 1.0 plugin, which accepts only TLS; the user is
    guest.
    """
    ca, certificate, key = server_certificate
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
    with program(server, environment=environment) as broker:
        while "Server startup complete" not in broker.line():
            pass
        yield port, ca
