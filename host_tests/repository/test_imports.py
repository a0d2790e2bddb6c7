"""Imports run downwards only, and the firmware imports only what MicroPython has."""

import ast

import pytest

from host_tests.support import sources

# Each module imports from the layers above its own, never from its own or from those below.
# What is loaded when it is first used counts too: see loaded_later().
LAYERS = (
    # Names and numbers; what only one of the interpreters has.
    "refused",
    "errors messages mqtt.unsent future compat_cpython mqtt.umqtt_cpython",
    "compat",
    # Bytes and text, without I/O.
    "sas pending outbox.ram_queue outbox.flash_queue log pnp",
    "net.x509 net.x509_cpython net.root_certificates",
    "amqp.times",
    "mqtt.packets mqtt.properties mqtt.refusals amqp.codec",
    "mqtt.protocol amqp.composites",
    "amqp.frames amqp.sections amqp.links",
    "amqp.protocol amqp.convert",
    # Whose client it is, and how it is to be.
    "credentials",
    "ready_token",
    "options",
    "failures",
    # Streams of bytes, and one connection over one of them.
    "net.proxy net.websocket net.https",
    "net.context net.context_cpython",
    "net.stream net.sockets_cpython",
    "net.sockets",
    "net.opening",
    "net",
    "connection",
    "amqp.cbs",
    "amqp.connection",
    # What the hub sends to the program.
    "inbox methods twin",
    "dispatcher",
    # IoT Hub's features.
    "mqtt.topics",
    "mqtt.oversized mqtt.handover renewal",
    "mqtt.transport amqp.transport",
    # When there is a connection.
    "supervisor outbox",
    # A client, and the methods that it loads when they are first called.
    "health deep_sleep net.upload net.root_update amqp.feedback",
    "client",
    "module provisioning",
    # The packages, whose names load the modules.
    "amqp mqtt",
    "iothub",
    # Other packages, which use the library.
    "iothub_service.connection board",
    "iothub_service.events board.reset board.settings board.wifi board.clock",
    "iothub_service.client board.clock_check board.repl board.watchdog",
    "iothub_service board.start board.doctor",
)
ON_A_BOARD = {
    "asyncio", "binascii", "errno", "gc", "hashlib", "io", "json", "micropython", "os",
    "select", "socket", "struct", "sys", "time", "tls", "umqtt.simple",
    "esp32", "machine", "network", "ntptime",
}  # fmt: skip
# Where MicroPython has tls.
ON_CPYTHON_ONLY = {
    ("log.py", "traceback"),
    ("compat_cpython.py", "operator"),
    ("sockets_cpython.py", "functools"),
    ("context_cpython.py", "ssl"),
    ("x509_cpython.py", "ssl"),
    ("x509_cpython.py", "tempfile"),
    ("umqtt_cpython.py", "iothub_tools"),
}


OTHERS = ("iothub", "iothub_service", "board")  # packages
MODULES = sources.IOTHUB + sources.SERVICE + sources.BOARD


def layer_of(name):
    """The number of a module's layer; in LAYERS the library's modules lack `iothub.`."""
    short = name.removeprefix("iothub.")
    for number, names in enumerate(LAYERS):
        if short in names.split():
            return number
    raise AssertionError(f"{name} has no layer yet: give it one in this test")


def package_of(path):
    return ".".join(path.parent.relative_to(sources.ROOT).parts[1:])


def homes(table):
    """{name: module} of a table whose lines are a module and the names that it has."""
    lines = [line.split(" ") for line in table.strip().splitlines()]
    return {name: home for home, *names in lines for name in names}


def loaded_later(name):
    """The modules whose names a module has in a table, to load them when they are first used."""
    import iothub
    from iothub import client, dispatcher

    tables = {
        "iothub": homes(iothub._HOMES).values(),
        "iothub.client": homes(client._LAZY_METHODS).values(),
        "iothub.dispatcher": dispatcher._PARTS,
    }
    return {f"iothub.{later}" for later in tables.get(name, ())}


@pytest.mark.parametrize("path", MODULES, ids=sources.module)
def test_modules_import_downwards(path):
    name = sources.module(path)
    for lower in sources.imports(path, package_of(path)) | loaded_later(name):
        if lower.partition(".")[0] in OTHERS and lower != name:
            assert layer_of(lower) < layer_of(name), f"{name} imports {lower}"


def test_every_module_has_one_layer():
    names = [name for layer in LAYERS for name in layer.split()]
    files = [sources.module(path).removeprefix("iothub.") for path in MODULES]
    assert sorted(names) == sorted(files)


def test_tables_of_modules_are_all_known():
    """Each module that is loaded by a name in a string is in a table of loaded_later()."""
    dynamic = [
        sources.module(path)
        for path in MODULES
        for node in ast.walk(sources.parsed(path))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "__import__"
    ]
    assert sorted(dynamic) == ["iothub", "iothub.client", "iothub.dispatcher"]


@pytest.mark.parametrize("path", sources.FIRMWARE, ids=sources.label)
def test_firmware_imports_only_what_a_board_has(path):
    for name in sources.imports(path, package_of(path)):
        if name.partition(".")[0] not in OTHERS:
            assert name in ON_A_BOARD or (path.name, name) in ON_CPYTHON_ONLY, name


def test_library_imports_neither_board_nor_tools():
    for path in sources.IOTHUB + sources.SERVICE:
        for name in sources.imports(path, package_of(path)):
            outside = ("board", "tools", "iothub_tools", "machine", "network", "esp32")
            # On CPython the tools know where umqtt.simple was downloaded to.
            assert name.partition(".")[0] not in outside or path.name == "umqtt_cpython.py"


# Of the firmware the hub has AMQP's wire format alone: no encoder of ours meets itself elsewhere.
WIRE = {"iothub.amqp." + name for name in ("codec", "composites", "frames", "sections")}
HUB = sorted((sources.ROOT / "tools" / "hub").rglob("*.py"))


@pytest.mark.parametrize("path", HUB, ids=sources.label)
def test_hub_imports_only_the_amqp_wire_format_of_the_firmware(path):
    for name in sources.imports(path, "tools.hub"):
        assert name in WIRE or name.partition(".")[0] not in ("iothub", "board", "umqtt")


@pytest.mark.parametrize("path", [p for p in HUB if p.parent.name == "core"], ids=sources.label)
def test_hub_core_imports_no_front(path):
    for node in ast.walk(sources.parsed(path)):
        assert not (isinstance(node, ast.ImportFrom) and node.level > 1), "the core stands alone"
    assert not {"aiohttp", "ssl"} & sources.imports(path, "tools.hub.core")


@pytest.mark.parametrize("front", ["mqtt", "amqp"])
def test_hub_fronts_do_not_import_each_other(front):
    for path in (sources.ROOT / "tools" / "hub" / front).glob("*.py"):
        for node in ast.walk(sources.parsed(path)):
            if isinstance(node, ast.ImportFrom) and node.level > 1 and node.module:
                assert node.module.partition(".")[0] in ("core", "listener", "tls"), path


def test_stub_file_has_the_public_names():
    import iothub

    stub = sources.parsed(sources.ROOT / "firmware" / "iothub" / "__init__.pyi")
    found = {"exceptions": "errors"}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            # `name as name`: what a stub offers to others.
            found.update({alias.asname: node.module for alias in node.names if alias.asname})
    assert found == homes(iothub._HOMES)


def test_library_modules_have_no_import_side_effects():
    """Outside functions and classes a module only defines, imports and assigns."""
    allowed = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    for path in sources.IOTHUB + sources.SERVICE:
        for node in sources.parsed(path).body:
            if isinstance(node, ast.Expr):
                assert isinstance(node.value, ast.Constant), path.name
            else:
                assert isinstance(node, (*allowed, ast.Assign, ast.If, ast.Try)), path.name
