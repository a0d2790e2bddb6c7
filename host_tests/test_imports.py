"""Imports run downwards only, and the firmware uses nothing that MicroPython lacks."""

import ast

import pytest
import sources

# Each module imports from the lines above its own, never from its own line or below.
FLOORS = [
    {"compat", "errors", "messages", "options", "retry", "twin", "roots", "extras", "once_host"},
    {"text", "once", "log", "packets", "framing", "watch", "deadline", "blame", "amqp.codec"},
    {"journal", "memory", "health"},
    {"sas", "bags", "state"},
    {"topics", "parcel"},
    {"outbox"},
    {"renewal", "websocket", "x509", "takeover", "oversized", "pnp", "proxy", "https"},
    {"credentials", "session", "stream", "handlers", "routes", "amqp.composites"},
    {"stream_host", "amqp.frames", "amqp.sections"},
    {"amqp.links", "amqp.convert"},
    {"carrier", "amqp.session"},
    {"link", "amqp.wire", "trust", "upload"},
    {"amqp.pending"},
    {"mqtt", "amqp.transport", "amqp.channel", "amqp.feedback"},
    {"client", "amqp.events"},
    {"amqp.service", "provisioning", "wake", "module", "doctor"},
]
ON_A_BOARD = {
    "asyncio", "binascii", "errno", "gc", "hashlib", "io", "json", "micropython", "os", "socket",
    "struct", "sys", "time", "tls", "umqtt.simple",
    "esp32", "machine", "network", "ntptime",
}  # fmt: skip
# Where MicroPython has tls.
ON_CPYTHON_ONLY = {
    ("log.py", "traceback"),
    ("stream_host.py", "functools"),
    ("stream_host.py", "ssl"),
    ("stream_host.py", "tempfile"),
}


def floor_of(name):
    for number, names in enumerate(FLOORS):
        if name in names:
            return number
    raise AssertionError(f"iothub.{name} has no floor yet: give it one in this test")


MODULES = [path for path in sources.IOTHUB if path.name != "__init__.py"]


def imports(path):
    package = "iothub.amqp" if path.parent.name == "amqp" else "iothub"
    return sources.imports(path, package)


@pytest.mark.parametrize("path", MODULES, ids=sources.module)
def test_library_imports_downwards(path):
    for name in imports(path):
        if name.startswith("iothub"):
            lower = name.partition(".")[2]
            assert floor_of(lower) < floor_of(sources.module(path)), f"{path} imports {name}"


def test_every_module_has_a_floor():
    files = {sources.module(path) for path in MODULES}
    assert {name for floor in FLOORS for name in floor} == files


@pytest.mark.parametrize("path", sources.FIRMWARE, ids=sources.label)
def test_firmware_imports_only_what_a_board_has(path):
    inside = path in sources.IOTHUB
    for name in imports(path):
        own = name.partition(".")[0]
        if own == "iothub" or (own == "board" and (not inside or path.name == "doctor.py")):
            continue
        assert name in ON_A_BOARD or (path.name, name) in ON_CPYTHON_ONLY, name


def test_library_does_not_know_the_board_nor_the_tools():
    for path in sources.IOTHUB:
        for name in imports(path):
            root = name.partition(".")[0]
            assert root not in ("board", "tools", "machine", "network", "esp32") or (
                (path.name, root) == ("doctor.py", "board")  # a command: nothing imports it
            )


# Of the firmware the hub has AMQP's wire format alone: no encoder of ours meets itself elsewhere.
WIRE = {"iothub.amqp." + name for name in ("codec", "composites", "frames", "sections")}
HUB = sorted((sources.ROOT / "tools" / "hub").rglob("*.py"))


@pytest.mark.parametrize("path", HUB, ids=sources.label)
def test_hub_knows_nothing_of_the_firmware(path):
    for name in sources.imports(path, "tools.hub"):
        assert name in WIRE or name.partition(".")[0] not in ("iothub", "board", "umqtt")


@pytest.mark.parametrize("path", [p for p in HUB if p.parent.name == "core"], ids=sources.label)
def test_hubs_core_knows_no_front(path):
    for node in ast.walk(sources.parsed(path)):
        assert not (isinstance(node, ast.ImportFrom) and node.level > 1), "the core stands alone"
    assert not {"aiohttp", "ssl"} & sources.imports(path, "tools.hub.core")


@pytest.mark.parametrize("front", ["mqtt", "amqp"])
def test_hubs_fronts_do_not_know_each_other(front):
    for path in (sources.ROOT / "tools" / "hub" / front).glob("*.py"):
        for node in ast.walk(sources.parsed(path)):
            if isinstance(node, ast.ImportFrom) and node.level > 1 and node.module:
                assert node.module.partition(".")[0] in ("core", "tls"), path


def test_stub_has_the_names_that_iothub_loads():
    import iothub

    stub = sources.parsed(sources.ROOT / "firmware" / "iothub" / "__init__.pyi")
    found = {"exceptions": "errors"}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found.update({alias.asname: node.module for alias in node.names})
    assert found == iothub._HOMES


def test_nothing_happens_at_import():
    """Outside functions and classes the library only defines, imports and names."""
    allowed = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    for path in sources.IOTHUB:
        for node in sources.parsed(path).body:
            if isinstance(node, ast.Expr):
                command = path.name == "doctor.py" and ast.unparse(node) == "run()"
                assert command or isinstance(node.value, ast.Constant), path.name
            else:
                assert isinstance(node, (*allowed, ast.Assign, ast.If, ast.Try)), path.name
