"""Every wait in the firmware has a deadline, and nothing blocks the event loop."""

import ast

import pytest

from host_tests.support import sources

SOURCES = [path for path in sources.FIRMWARE if path not in sources.APPLICATION]
# What does not wait for the network, the hub or another task: these say themselves how long.
SLEEPS = {"sleep", "sleep_ms"}
# Names of the interpreters' own waits, which functions of the firmware bear too.
WAITING = {"wait", "read", "readinto", "readexactly", "readline", "write", "wait_closed", "get"}
# Waits that something else bounds, or that may last for ever, and why.
CALLER = "wait_for(), where it is called"
KEEP_ALIVE = "the ticker: KeepAlive.overdue() ends the connection"
EXPIRY = "the ticker: Pending.expire() fails the message"
HANDLER = "Dispatcher.call() has wait_for(), with handler_timeout"
IDLE = "there is nothing to do"
STEPS = "each step of an attempt has wait_for(), and its end is a new state"
WATCHED = {
    # Streams: who reads and writes bounds it.
    ("net/stream.py", "Stream.write", "drain"): KEEP_ALIVE,
    ("net/stream.py", "Stream.readinto", "readinto"): KEEP_ALIVE,
    ("net/sockets_cpython.py", "connect", "sock_connect"): CALLER,
    ("net/sockets_cpython.py", "Stream.write", "drain"): KEEP_ALIVE,
    ("net/sockets_cpython.py", "Stream.readinto", "read"): KEEP_ALIVE,
    ("net/websocket.py", "upgrade", "write"): CALLER,
    ("net/websocket.py", "_response", "readinto"): CALLER,
    ("net/websocket.py", "WebSocket._frame", "async with"): KEEP_ALIVE,
    ("net/websocket.py", "WebSocket._frame", "write"): KEEP_ALIVE,
    ("net/websocket.py", "WebSocket.readinto", "readinto"): KEEP_ALIVE,
    ("net/websocket.py", "WebSocket._exactly", "readinto"): KEEP_ALIVE,
    ("net/https.py", "_some", "readinto"): CALLER,
    ("net/proxy.py", "ProxyOptions.open.send", "drain"): CALLER,
    ("net/proxy.py", "ProxyOptions._ask", "receive"): CALLER,
    ("iothub/compat_cpython.py", "wait_for", "wait"): "it has the deadline; what it cancels ends",
    ("iothub/future.py", "wait_for", "await"): "it has the deadline; what it cancels ends",
    # A connection, for as long as it stands.
    ("iothub/connection.py", "Connection._read", "readinto"): KEEP_ALIVE,
    (
        "iothub/connection.py",
        "Connection._read",
        "await",
    ): "the ticker: Connection.tick() resumes it",
    ("iothub/connection.py", "Connection._write", "write"): KEEP_ALIVE,
    ("iothub/connection.py", "Connection._write", "await"): IDLE,
    ("mqtt/transport.py", "MQTTTransport.wait_closed", "await"): KEEP_ALIVE,
    (
        "mqtt/handover.py",
        "_end_in_order",
        "await",
    ): "Connection.close() has wait_for(), at each step",
    ("amqp/transport.py", "AMQPTransport.wait_closed", "await"): KEEP_ALIVE,
    ("iothub_service/connection.py", "ServiceConnection.wait_closed", "await"): KEEP_ALIVE,
    # The supervisor.
    ("iothub/supervisor.py", "Supervisor._step", "wait_closed"): KEEP_ALIVE,
    ("iothub/supervisor.py", "Supervisor.next_state", "await"): STEPS,
    ("iothub/supervisor.py", "Supervisor.stop", "await"): "a task that is cancelled ends",
    ("iothub/renewal.py", "_renew", "async with"): "renew() has wait_for(), at each step",
    ("iothub/renewal.py", "update_sastoken", "async with"): "renew() has wait_for(), at each step",
    # Telemetry.
    ("iothub/client.py", "IoTHubClient._send_once_ready", "send_message"): EXPIRY,
    ("iothub/module.py", "IoTHubModuleClient.send_message_to_output", "send_message"): EXPIRY,
    ("iothub/compat_cpython.py", "as_coroutine", "await"): EXPIRY,
    ("outbox/__init__.py", "Outbox._send_one", "_send"): EXPIRY,
    ("outbox/__init__.py", "Outbox._run", "await"): IDLE,
    ("iothub/deep_sleep.py", "_run", "await"): "connect(): " + STEPS + "; messages: " + EXPIRY,
    ("iothub_service/client.py", "_Sender.send", "await"): EXPIRY,
    ("board/doctor.py", "Examination._visit", "send_message"): EXPIRY,
    # Handlers of the program's.
    ("iothub/dispatcher.py", "Dispatcher._guarded", "function"): "each function's waits are here",
    ("iothub/inbox.py", "Inbox._work", "await"): IDLE + "; " + HANDLER,
    # The service's side.
    ("iothub_service/connection.py", "Inbox.__anext__", "await"): "what comes takes as it takes",
    ("iothub_service/events.py", "Events.begin", "read"): "_Management.read() has wait_for()",
}
# Loops that wait: what ends each, or why it may go on for ever.
TASK = "a task, as long as its owner"
LOOPS = {
    ("board/watchdog.py", "Watchdog.run"): TASK,
    ("iothub/connection.py", "Connection._read"): TASK,
    ("iothub/connection.py", "Connection._write"): TASK,
    ("iothub/health.py", "Health.run"): TASK,
    ("iothub/inbox.py", "Inbox._work"): TASK,
    ("outbox/__init__.py", "Outbox._run"): TASK,
    ("iothub/supervisor.py", "Supervisor._run"): TASK,
    ("iothub/supervisor.py", "Supervisor._tick"): TASK,
    ("mqtt/transport.py", "MQTTTransport.wait_closed"): "a connection; " + KEEP_ALIVE,
    ("iothub/twin.py", "TwinSynchronizer.synchronize"): "a connection; back-off between attempts",
    ("net/stream.py", "Stream.readinto"): KEEP_ALIVE,
    ("net/websocket.py", "WebSocket.readinto"): KEEP_ALIVE,
    ("net/websocket.py", "WebSocket._exactly"): KEEP_ALIVE,
    ("net/websocket.py", "_response"): CALLER,
    ("net/https.py", "_stream"): "the file's length",
    ("net/https.py", "_read"): "the bound of an answer",
    ("net/proxy.py", "ProxyOptions._ask"): CALLER,
    ("net/sockets.py", "connect"): CALLER,
    ("iothub/future.py", "expire"): "what it cancels ends",
    ("iothub/provisioning.py", "_Registration._registered"): "register() has wait_for()",
    ("iothub/deep_sleep.py", "wait_idle"): "operation_timeout",
    ("iothub/client.py", "IoTHubClient._request_twin"): "three attempts",
    ("amqp/transport.py", "AMQPTransport.open"): "two attempts",
    ("iothub/renewal.py", "update_sastoken"): STEPS,
    ("iothub/supervisor.py", "Supervisor.connect"): STEPS,
    ("iothub/supervisor.py", "Supervisor._regained"): CALLER,
    ("iothub/supervisor.py", "Supervisor.stop"): "each step of closing has wait_for()",
    ("iothub_service/client.py", "_Feedback.__anext__"): "what comes takes as it takes",
    ("iothub_service/connection.py", "Inbox.__anext__"): "what comes takes as it takes",
}
# At boot, where no event loop runs yet, in loops that count, and before a restart.
BLOCKING = {
    ("board/wifi.py", "sleep_ms"),
    ("board/clock.py", "sleep_ms"),
    ("board/start.py", "sleep"),
}


class Waits(ast.NodeVisitor):
    """Finds the waits of a file that no wait_for() bounds: (scope, name, line).

    name: of what is called, where it is no coroutine function of the firmware, whose own waits
    are found where it is defined; "await" for an object that is awaited, "async with" for a lock,
    "async for" for an iterator.
    """

    def __init__(self, own):
        self.found = []
        self._own = own
        self._scope = []

    def _enter(self, node):
        self._scope.append(node.name)
        self.generic_visit(node)
        self._scope.pop()

    visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _enter

    def _note(self, name, node):
        self.found.append((".".join(self._scope), name, node.lineno))

    def visit_AsyncWith(self, node):
        self._note("async with", node)
        self.generic_visit(node)

    def visit_AsyncFor(self, node):
        self._note("async for", node)
        self.generic_visit(node)

    def visit_Await(self, node):
        self.generic_visit(node)
        if not isinstance(node.value, ast.Call):
            self._note("await", node)
            return
        name = getattr(node.value.func, "attr", getattr(node.value.func, "id", None))
        # asyncio.wait_for() without a time is not used, and compat's has none to leave out.
        if name in SLEEPS or name in ("wait_for", "_wait_for"):
            return
        if name in WAITING or name not in self._own:
            self._note(name, node)


class Loops(ast.NodeVisitor):
    """Finds the loops of a file that wait, and do not count: (scope, line)."""

    def __init__(self):
        self.found = []
        self._scope = []

    def _enter(self, node):
        self._scope.append(node.name)
        self.generic_visit(node)
        self._scope.pop()

    visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _enter

    def visit_While(self, node):
        if any(isinstance(inner, ast.Await) for inner in ast.walk(node)):
            self.found.append((".".join(self._scope), node.lineno))
        self.generic_visit(node)


def loops(path):
    visitor = Loops()
    visitor.visit(sources.parsed(path))
    return visitor.found


def coroutine_functions():
    """The names of all that the firmware defines."""
    return {
        node.name
        for path in SOURCES
        for node in ast.walk(sources.parsed(path))
        if isinstance(node, ast.AsyncFunctionDef)
    }


OWN = coroutine_functions()


def unbounded(path):
    visitor = Waits(OWN)
    visitor.visit(sources.parsed(path))
    return visitor.found


@pytest.mark.parametrize("path", SOURCES, ids=sources.label)
def test_every_wait_has_a_deadline(path):
    where = sources.label(path)
    for scope, name, line in unbounded(path):
        assert (where, scope, name) in WATCHED, f"{where}:{line}: {scope} awaits {name}"


def test_list_of_watched_waits_has_nothing_that_is_gone():
    found = {
        (sources.label(path), scope, name)
        for path in SOURCES
        for scope, name, _ in unbounded(path)
    }
    assert found == set(WATCHED)


def test_every_loop_that_waits_has_an_end():
    """A loop of waits that have deadlines may itself have none."""
    found = {
        (sources.label(path), scope): f"{path}:{line}"
        for path in SOURCES
        for scope, line in loops(path)
    }
    assert {place: line for place, line in found.items() if place not in LOOPS} == {}
    assert set(LOOPS) <= set(found)


def test_waits_without_a_deadline_are_found(tmp_path):
    source = (sources.ROOT / "firmware" / "iothub" / "mqtt" / "transport.py").read_text()
    for bounded, bare, found in (
        ('await wait_for(asked, self.timeout, "twin")', "await asked", "await"),
        (
            'await wait_for(self.pending.drained(), self.timeout, "disconnect")',
            "await self.pending.drained()",
            "drained",
        ),
    ):
        changed = source.replace(bounded, bare)
        assert changed != source
        path = tmp_path / "transport.py"
        path.write_text(changed)
        more = [name for _, name, _ in unbounded(path)]
        path.write_text(source)
        for _, name, _ in unbounded(path):
            more.remove(name)
        assert more == [found]


def test_deadlines_are_those_of_compat():
    """asyncio.wait_for() raises an error that names no stage."""
    for path in SOURCES:
        for node in ast.walk(sources.parsed(path)):
            if isinstance(node, ast.Attribute) and node.attr == "wait_for":
                raise AssertionError(f"{sources.label(path)}:{node.lineno}")


@pytest.mark.parametrize("path", sources.FIRMWARE, ids=sources.label)
def test_nothing_blocks_the_loop(path):
    where = sources.label(path)
    for node in ast.walk(sources.parsed(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = getattr(node.func.value, "id", None)
            if owner == "time" and node.func.attr in ("sleep", "sleep_ms", "sleep_us"):
                assert (where, node.func.attr) in BLOCKING, f"{where}:{node.lineno}"
            if node.func.attr in ("setblocking", "settimeout"):
                # A socket that is made non-blocking.
                assert where in ("net/sockets.py", "net/sockets_cpython.py"), where
                assert ast.unparse(node) == "sock.setblocking(False)", f"{where}:{node.lineno}"
