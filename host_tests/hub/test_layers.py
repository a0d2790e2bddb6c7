"""The hub's layers: no SQL leaves the core, and no object's private names are used by another."""

import ast
from pathlib import Path

import pytest

import tools.hub
from tools.hub.core import DeviceSession

HUB = Path(tools.hub.__file__).parent
FILES = sorted(HUB.rglob("*.py"))
OUTSIDE_CORE = [path for path in FILES if path.parent.name != "core"]
SQL = ("SELECT ", "INSERT ", "REPLACE INTO ", "UPDATE ", "DELETE FROM ", "CREATE ", "PRAGMA ")
# Python's ssl has no other hook that sees a client's certificate before it is verified.
PRIVATE_NAMES_ALLOWED = {("tls.py", "_msg_callback")}


def label(path):
    return str(path.relative_to(HUB))


def nodes(path, kind):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kind)]


def imported_names(path):
    names = set()
    for node in nodes(path, ast.Import):
        names |= {alias.name for alias in node.names}
    for node in nodes(path, ast.ImportFrom):
        names |= {node.module or "", *(alias.name for alias in node.names)}
    return names


@pytest.mark.parametrize("path", OUTSIDE_CORE, ids=label)
def test_only_the_core_knows_the_database(path):
    assert not {"sqlite3", "core.store", "store", "Store"} & imported_names(path)
    attributes = {node.attr for node in nodes(path, ast.Attribute)}
    assert not {"store", "_store"} & attributes
    texts = [node.value for node in nodes(path, ast.Constant) if isinstance(node.value, str)]
    assert [text for text in texts if text.startswith(SQL)] == []


@pytest.mark.parametrize("path", FILES, ids=label)
def test_private_names_are_used_by_their_own_object_only(path):
    for node in nodes(path, ast.Attribute):
        private = node.attr.startswith("_") and not node.attr.startswith("__")
        if private and (path.name, node.attr) not in PRIVATE_NAMES_ALLOWED:
            owner = ast.unparse(node.value)
            assert owner in ("self", "cls"), f"line {node.lineno}: {owner}.{node.attr}"


@pytest.mark.parametrize("front", ["mqtt", "amqp"])
def test_each_device_front_has_the_whole_device_session(front):
    module = __import__(f"tools.hub.{front}.device_session", fromlist=["device_session"])
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, DeviceSession)
        and value is not DeviceSession
    ]
    assert len(found) == 1
    assert not found[0].__abstractmethods__


def test_core_and_rest_call_only_what_the_device_session_offers():
    called = set()
    for path in FILES:
        if path.parent.name in ("core", "rest"):
            for node in nodes(path, ast.Attribute):
                if ast.unparse(node.value).rpartition(".")[2] == "session":
                    called.add(node.attr)
    assert called == DeviceSession.__abstractmethods__
