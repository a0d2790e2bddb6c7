"""Every wait in the firmware has a deadline, and nothing blocks the event loop."""

import ast

import pytest

from host_tests.support import sources

# What waits for the network, the hub or another task.
WAITING = {
    "wait", "read", "readinto", "_readinto", "readexactly", "readline", "drain", "wait_closed",
    "write", "open_connection", "getaddrinfo", "sock_connect", "gather", "acquire", "get", "join",
    "request_twin", "subscribe", "enable",
}  # fmt: skip
BOUNDED = {"within", "wait_for"}
# Waits that somebody else bounds, and who.
WATCHED = {
    ("deadline.py", "Answer.wait", "wait"): "within(), at every call",
    ("stream.py", "Stream.write", "drain"): "within(), or the keeper: Watch.writing",
    ("stream.py", "Stream.readinto", "_readinto"): "the keeper: pings, Watch.overdue",
    ("stream.py", "Stream._readinto", "readinto"): "the keeper: pings, Watch.overdue",
    ("stream_host.py", "HostStream._readinto", "read"): "the keeper: pings, Watch.overdue",
    ("stream.py", "Stream.close", "wait_closed"): "MicroPython's closes the socket, and returns",
    ("websocket.py", "upgrade", "write"): "within(), in Carrier._open",
    ("websocket.py", "_response", "readinto"): "within(), in Carrier._open",
    ("websocket.py", "WebSocket._frame", "write"): "the keeper: Watch.writing",
    ("websocket.py", "WebSocket.readinto", "readinto"): "the keeper: Watch.overdue",
    ("websocket.py", "WebSocket._exactly", "readinto"): "the keeper: Watch.overdue",
    ("carrier.py", "Carrier._read", "readinto"): "the keeper: Watch.overdue",
    ("carrier.py", "Carrier._write", "await"): "nothing is owed while nothing is written",
    ("carrier.py", "Carrier._write", "write"): "the keeper: Watch.writing",
    ("https.py", "_some", "readinto"): "_read() has within()",
    ("proxy.py", "ProxyOptions.open.send", "drain"): "open() has within()",
    ("takeover.py", "_connack", "readinto"): "dialled() has within()",
    ("once_host.py", "coroutine", "await"): "the keeper: Session.expire",
    ("outbox.py", "Outbox._run", "await"): "the outbox has nothing to do",
    ("wake.py", "_visit", "await"): "tasks of send_message: Session.expire",
    ("pending.py", "Pending.deliver", "wait"): "the keeper: Pending.oldest",
    ("channel.py", "Inbox.__anext__", "wait"): "what comes is waited for as long as one likes",
    ("events.py", "Events.begin", "read"): "_Management.read has within()",
    ("mqtt.py", "MQTTTransport.enable", "subscribe"): "Link.subscribe has within()",
    ("handlers.py", "Handlers._work", "wait"): "the worker has nothing to do",
    ("handlers.py", "Handlers._resync", "request_twin"): "the transport has within()",
    ("client.py", "IoTHubClient._request_twin", "request_twin"): "the same",
}
BLOCKING = {("wifi.py", "sleep_ms"), ("clock.py", "sleep_ms")}  # at boot, in loops that count


class Waits(ast.NodeVisitor):
    """Finds the awaits of a file that may wait, and that no within() or wait_for() bounds."""

    def __init__(self):
        self.found = []
        self._scope = []
        self._bounded = 0

    def _enter(self, node):
        self._scope.append(node.name)
        self.generic_visit(node)
        self._scope.pop()

    visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _enter

    def visit_Call(self, node):
        name = getattr(node.func, "attr", getattr(node.func, "id", None))
        if name in WAITING and not self._bounded and self._awaited:
            self.found.append((".".join(self._scope), name, node.lineno))
        self._bounded += name in BOUNDED
        self.generic_visit(node)
        self._bounded -= name in BOUNDED

    _awaited = False

    def visit_Await(self, node):
        if not isinstance(node.value, ast.Call):  # an object that is itself waited for
            self.found.append((".".join(self._scope), "await", node.lineno))
        before, self._awaited = self._awaited, True
        self.generic_visit(node)
        self._awaited = before


def unbounded(path):
    visitor = Waits()
    visitor.visit(sources.parsed(path))
    return visitor.found


@pytest.mark.parametrize("path", sources.FIRMWARE, ids=sources.label)
def test_every_wait_has_a_deadline(path):
    for scope, name, line in unbounded(path):
        assert (path.name, scope, name) in WATCHED, f"{path.name}:{line}: {scope} awaits {name}()"


def test_list_of_watched_waits_is_current():
    found = {
        (path.name, scope, name) for path in sources.FIRMWARE for scope, name, _ in unbounded(path)
    }
    assert found == set(WATCHED)


def test_wait_without_a_deadline_is_detected(tmp_path):
    source = (sources.ROOT / "firmware" / "iothub" / "mqtt.py").read_text()
    bare = source.replace(
        'await within(self._timeout, "twin", answer.wait())', "await answer.wait()"
    )
    assert bare != source
    path = tmp_path / "mqtt.py"
    path.write_text(bare)
    assert ("MQTTTransport.request_twin", "wait") in {found[:2] for found in unbounded(path)}


@pytest.mark.parametrize("path", sources.FIRMWARE, ids=sources.label)
def test_nothing_blocks_the_loop(path):
    for node in ast.walk(sources.parsed(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = getattr(node.func.value, "id", None)
            if owner == "time" and node.func.attr in ("sleep", "sleep_ms", "sleep_us"):
                assert (path.name, node.func.attr) in BLOCKING, f"{path.name}:{node.lineno}"
            assert node.func.attr not in ("setblocking", "settimeout") or path.name in (
                "stream_host.py",  # CPython's socket, which is made non-blocking
            ), f"{path.name}:{node.lineno}"
