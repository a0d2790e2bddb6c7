"""Imports run downwards only, and the firmware imports only what MicroPython has."""

import ast

import pytest

from host_tests.support import sources

# Each module imports from the lines above its own, never from its own line or below.
FLOORS = [
    {"compat", "errors", "messages", "options", "retry", "twin", "extras", "future_cpython"},
    {"quoting", "future", "log", "keepalive", "deadline", "blame", "amqp.codec"},
    {"flash_queue", "ram_queue", "health", "net.root_certificates"},
    {"mqtt.packets", "mqtt.framing", "sas", "mqtt.properties", "state", "mqtt.umqtt_cpython"},
    {"mqtt.topics", "parcel"},
    {"outbox"},
    {"renewal", "net.websocket", "x509", "mqtt.handover", "oversized", "pnp", "net.proxy"},
    {"net.https", "credentials", "mqtt.protocol", "net.stream", "handlers", "mqtt.routes"},
    {"net.stream_cpython", "amqp.composites"},
    {"amqp.frames", "amqp.sections"},
    {"amqp.links", "amqp.convert"},
    {"connection", "amqp.protocol"},
    {"mqtt.link", "amqp.wire", "net.root_update", "upload"},
    {"amqp.pending"},
    {"mqtt.transport", "amqp.transport", "amqp.feedback"},
    {"client"},
    {"provisioning", "deep_sleep", "module"},
]
ON_A_BOARD = {
    "asyncio", "binascii", "errno", "gc", "hashlib", "io", "json", "micropython", "os", "socket",
    "struct", "sys", "time", "tls", "umqtt.simple",
    "esp32", "machine", "network", "ntptime",
}  # fmt: skip
# Where MicroPython has tls.
ON_CPYTHON_ONLY = {
    ("log.py", "traceback"),
    ("stream_cpython.py", "functools"),
    ("stream_cpython.py", "ssl"),
    ("stream_cpython.py", "tempfile"),
    ("umqtt_cpython.py", "iothub_tools"),
}


def floor_of(name):
    for number, names in enumerate(FLOORS):
        if name in names:
            return number
    raise AssertionError(f"iothub.{name} has no floor yet: give it one in this test")


MODULES = [path for path in sources.IOTHUB if path.name != "__init__.py"]


def imports(path):
    return sources.imports(path, ".".join(path.parent.relative_to(sources.ROOT).parts[1:]))


@pytest.mark.parametrize("path", MODULES, ids=sources.module)
def test_library_imports_downwards(path):
    for name in imports(path):
        package, _, lower = name.partition(".")
        if package == "iothub":
            assert floor_of(lower) < floor_of(sources.module(path)), f"{path} imports {name}"


def test_every_module_has_a_layer():
    files = {sources.module(path) for path in MODULES}
    assert {name for floor in FLOORS for name in floor} == files


@pytest.mark.parametrize("path", sources.FIRMWARE, ids=sources.label)
def test_firmware_imports_only_what_a_board_has(path):
    inside = path in sources.IOTHUB
    for name in imports(path):
        own = name.partition(".")[0]
        if own == "iothub" or (own == "board" and not inside):
            continue
        assert name in ON_A_BOARD or (path.name, name) in ON_CPYTHON_ONLY, name


def test_library_imports_neither_board_nor_tools():
    for path in sources.IOTHUB:
        for name in imports(path):
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
            found.update({alias.asname: node.module for alias in node.names})
    assert found == iothub._HOMES


def test_library_modules_have_no_import_side_effects():
    """Outside functions and classes a module only defines, imports and assigns."""
    allowed = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    for path in sources.IOTHUB:
        for node in sources.parsed(path).body:
            if isinstance(node, ast.Expr):
                assert isinstance(node.value, ast.Constant), path.name
            else:
                assert isinstance(node, (*allowed, ast.Assign, ast.If, ast.Try)), path.name
