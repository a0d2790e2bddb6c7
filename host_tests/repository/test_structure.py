"""The structure of the firmware in numbers: files, classes, functions, private names used."""

import ast
import asyncio
import json
import sys
from pathlib import Path

import pytest

from host_tests.support import sources
from host_tests.support.scripted_mqtt_server import ScriptedMqttServer

FIRMWARE = sources.FIRMWARE + sources.SHIM
LIBRARY = sources.ROOT / "firmware" / "iothub"


# -- private names ------------------------------------------------------------------------------


def private_reaches(path):
    """[line] of each use of another object's private name, x._y."""
    lines = []
    for node in ast.walk(sources.parsed(path)):
        if isinstance(node, ast.Attribute) and node.attr[:1] == "_" and node.attr[:2] != "__":
            owner = node.value
            itself = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
            base = isinstance(owner, ast.Call) and getattr(owner.func, "id", "") == "super"
            if not (itself or base):
                lines.append(node.lineno)
    return lines


def test_no_object_reaches_into_another_one():
    found = {sources.label(path): private_reaches(path) for path in FIRMWARE}
    # The insides of MicroPython's asyncio, on which a Future without a coroutine stands, and in
    # which a full heap leaves half an entry.
    assert len(found.pop("iothub/future.py")) <= 3
    assert {where: lines for where, lines in found.items() if lines} == {}


def test_private_reach_is_found(tmp_path):
    path = tmp_path / "some.py"
    path.write_text(
        "class A:\n"
        "    def f(self, other):\n"
        "        self._a = super()._b + other.__class__.__name__\n"
        "        self.part._c = other._d()\n"
    )
    assert private_reaches(path) == [4, 4]


@pytest.mark.parametrize("path", FIRMWARE, ids=sources.label)
def test_no_attribute_is_attached_from_outside(path):
    """mypy finds what a class does not define, unless it is told to look away."""
    assert "ignore[attr-defined]" not in path.read_text()


# -- how much there is --------------------------------------------------------------------------


def test_few_files_lie_flat_in_the_library():
    flat = [path.name for path in LIBRARY.iterdir() if path.suffix in (".py", ".pyi")]
    assert len(flat) <= 28, sorted(flat)


# Sends one message as telemetry, and prints the files of the library that this has loaded.
TELEMETRY = """
import asyncio, json, sys
from iothub import IoTHubDeviceClient

async def main(text, ca):
    client = IoTHubDeviceClient.create_from_connection_string(text, server_verification_cert=ca)
    await client.connect()
    await client.send_message("x")
    await client.disconnect()

asyncio.run(main(*sys.argv[1:]))
names = [name for name in sys.modules if name.partition(".")[0] == "iothub"]
print(json.dumps([sys.modules[name].__file__ for name in names]))
"""


async def loaded_for_telemetry(tls):
    """The files of the library that a device loads to connect, send a message and disconnect."""
    context, ca = tls
    server = await asyncio.start_server(ScriptedMqttServer().serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        text = f"HostName=localhost:{port};DeviceId=d;SharedAccessKey=AAAA"
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", TELEMETRY, text, ca, stdout=pipe, stderr=pipe
        )
        out, error = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, error.decode()
    return [Path(name) for name in json.loads(out)]


def test_telemetry_loads_few_classes_and_functions(localhost_tls):
    files = asyncio.run(loaded_for_telemetry(localhost_tls))
    assert LIBRARY / "mqtt" / "transport.py" in files
    nodes = [node for path in files for node in ast.walk(sources.parsed(path))]
    classes = [node.name for node in nodes if isinstance(node, ast.ClassDef)]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node.name for node in nodes if isinstance(node, kinds)]
    assert len(classes) <= 28, sorted(classes)
    assert len(functions) <= 215, sorted(functions)


# -- interfaces ---------------------------------------------------------------------------------


def methods(path, name):
    """{method: (whether it is a coroutine function, its arguments)} of a class."""
    (found,) = [
        node
        for node in ast.walk(sources.parsed(path))
        if isinstance(node, ast.ClassDef) and node.name == name
    ]
    return {
        node.name: (
            isinstance(node, ast.AsyncFunctionDef),
            [argument.arg.lstrip("_") for argument in node.args.args],
            [ast.unparse(default) for default in node.args.defaults],
        )
        for node in found.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


SUPERVISED = methods(LIBRARY / "__init__.pyi", "Supervised")
TRANSPORT = {**SUPERVISED, **methods(LIBRARY / "__init__.pyi", "Transport")}


@pytest.mark.parametrize(
    ("file", "name", "interface"),
    [
        ("iothub/mqtt/transport.py", "MQTTTransport", TRANSPORT),
        ("iothub/amqp/transport.py", "AMQPTransport", TRANSPORT),
        ("iothub_service/connection.py", "ServiceConnection", SUPERVISED),
    ],
)
def test_interface_is_implemented_as_it_is_written_down(file, name, interface):
    assert len(interface) >= 6
    found = methods(sources.ROOT / "firmware" / file, name)
    for method, signature in interface.items():
        assert found.get(method) == signature, method


@pytest.mark.parametrize("protocol", ["mqtt", "amqp"])
def test_attributes_of_the_interface_are_there_from_the_beginning(protocol):
    stub = sources.parsed(LIBRARY / "__init__.pyi")
    declared = {
        item.target.id
        for node in stub.body
        if isinstance(node, ast.ClassDef) and node.name in ("Supervised", "Transport")
        for item in node.body
        if isinstance(item, ast.AnnAssign)
    }
    assert declared
    assigned = {
        node.attr
        for method in ast.walk(sources.parsed(LIBRARY / protocol / "transport.py"))
        if isinstance(method, ast.FunctionDef) and method.name == "__init__"
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    assert declared <= assigned


def test_both_transports_offer_the_same():
    """What only one of them has is its own business: nobody else may call it."""
    own = {"begin", "dial", "subscribe_again", "subscribed"}  # for mqtt.handover
    own |= {"on_publish", "on_oversized", "on_no_room"}  # for the MQTT protocol, and links
    own |= {"on_message", "on_settled", "on_detached", "send_to"}  # for links, and for feedback
    for protocol in ("mqtt", "amqp"):
        found = methods(LIBRARY / protocol / "transport.py", f"{protocol.upper()}Transport")
        public = {name for name in found if name[:1] != "_"}
        assert public - own == set(TRANSPORT), protocol


# -- state machines -----------------------------------------------------------------------------

MACHINES = [("supervisor", "Supervisor"), ("connection", "Connection")]


@pytest.mark.parametrize(("module", "name"), MACHINES)
def test_one_method_assigns_the_state(module, name):
    tree = sources.parsed(LIBRARY / f"{module}.py")
    (found,) = [node for node in tree.body if getattr(node, "name", "") == name]
    assigning = [
        method.name
        for method in found.body
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
        and node.attr == "state"
        and isinstance(node.ctx, ast.Store)
    ]
    assert assigning == ["__init__", "fire"]


@pytest.mark.parametrize(("module", "name"), MACHINES)
def test_nobody_else_assigns_a_state(module, name):
    for path in FIRMWARE:
        for node in ast.walk(sources.parsed(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                outside = not (isinstance(node.value, ast.Name) and node.value.id == "self")
                assert not (outside and node.attr == "state"), f"{path}:{node.lineno}"


def test_table_in_the_docstring_is_the_one_that_is_used():
    """What a reader sees at the top of supervisor.py, against TRANSITIONS."""
    from iothub import supervisor

    lines = supervisor.__doc__.split("\n")
    first = [line.split()[:3] for line in lines].index(["event", "from", "to"])
    from_, to = (lines[first].index(word) for word in ("from", "to"))
    told = {}
    for line in lines[first + 1 : lines.index("", first)]:
        event, before, after = line[:from_].strip(), line[from_:to].strip(), line[to:].split()[0]
        but = before.removeprefix("all but ")
        named = [word.strip() for word in but.split(",")]
        for state in supervisor.STATES:
            if (state in named) == (but == before):
                told[event.replace(" ", "-"), state] = after
    used = {}
    rows = supervisor.TRANSITIONS.decode().split()
    for event, row in zip(supervisor.EVENTS, rows, strict=True):
        for state, column in zip(supervisor.STATES, row, strict=True):
            if column != "-" and supervisor.STATES[int(column)] != state:
                used[event, state] = supervisor.STATES[int(column)]
    assert told == used
