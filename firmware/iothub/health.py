"""Health report of a client, and the watchdog's check of the client's own deadlines.

health = Health(client, reset_cause="power on")
asyncio.create_task(health.run())
"""

import asyncio
import gc

from .compat import uptime

_SLACK = 10  # seconds that a deadline may be late, before it counts as missed
_STEPS = 10  # dns, tcp, proxy, tls, websocket, connack … each has `timeout`
_INTERNAL = ("state", "handled", "timeout", "lastTick", "connectingSince")


def describe(name, status):
    """The repr of a client: state, unacknowledged messages, round trip, reconnects, least heap.

    status: what client.status() gives.
    """
    parts = [status["state"]]
    if status["waiting"]:
        parts.append("%d waiting" % status["waiting"])
    if status["roundTrip"] is not None:
        parts.append("round trip %d ms" % status["roundTrip"])
    if status["connections"] > 1:
        parts.append("reconnects %d" % (status["connections"] - 1))
    if status.get("heapLow") is not None:
        parts.append("heap low %d KB" % (status["heapLow"] // 1024))
    return "<%s: %s>" % (name, ", ".join(parts))


def snapshot(client):
    """What client.status() tells, as far as a fleet's owner wants it reported."""
    gc.collect()
    found = client.status()
    for name in _INTERNAL:
        found.pop(name)
    return found


class Deadlines:
    """Whether a client keeps its own deadlines."""

    def __init__(self, client):
        self._client = client

    def missed(self):
        """What has missed its deadline by far, as text ("keep-alive" or "connect"), or None."""
        status = self._client.status()
        timeout, tick, since = status["timeout"], status["lastTick"], status["connectingSince"]
        if tick is not None and tick > timeout + _SLACK:
            return "keep-alive"
        limit = timeout * _STEPS + _SLACK
        return "connect" if since is not None and since > limit else None


class Health:
    """Reports snapshot() as the reported property `health`, at most once in `every` seconds.

    reset_cause: why the board started, as board.reset.cause() says it.
    """

    def __init__(self, client, reset_cause=None, every=3600):
        self._client = client
        self._every = every
        self._reported = None  # when, as uptime() says
        self._fixed = {} if reset_cause is None else {"resetCause": reset_cause}

    def report_body(self):
        """snapshot(), with resetCause and uptime (seconds)."""
        found = snapshot(self._client)
        found.update(self._fixed)
        found["uptime"] = uptime()
        return found

    async def report(self):
        """Report now, unless that was done less than `every` seconds ago; whether it was.

        Errors as of patch_twin_reported_properties().
        """
        now = uptime()
        if self._reported is not None and now - self._reported < self._every:
            return False
        self._reported = now
        await self._client.patch_twin_reported_properties({"health": self.report_body()})
        return True

    async def run(self):
        """Report when it is time and there is a connection; after an error, the next time."""
        while True:
            uptime()  # counts, without a connection, too
            if self._client.connected:
                try:
                    await self.report()
                except Exception as error:
                    self._client.report_error(error)
            await asyncio.sleep(min(self._every, 1))


# -- methods of the client ------------------------------------------------------------------


def status(supervisor):
    """How the client is, as a dict.

    state: disconnected, connecting, connected, waiting, stopping or closed.
    connections: how many were made. losses: {stage: how many connections ended there}.
    roundTrip: in ms, or None. waiting: messages that are not acknowledged.
    handled: messages and changes that handlers were given.
    dropped: cloud-to-device messages that were not settled, and come again.
    heapFree, heapLow: bytes, now and the least after connecting.
    outbox: {waiting, dropped, damaged}, if there is one.
    timeout: the option. lastTick: how many seconds ago deadlines were looked at. connectingSince:
    for how many seconds the attempt under way has lasted. None: nothing is under way.
    """
    transport = supervisor.transport
    keep_alive = transport.connection and transport.connection.keep_alive
    found = {
        "state": supervisor.state,
        "connections": supervisor.connections,
        "losses": supervisor.losses,
        "roundTrip": keep_alive and keep_alive.round_trip,
        "waiting": len(transport.pending),
        "handled": supervisor.dispatcher.handled,
        "dropped": supervisor.dispatcher.dropped,
        "timeout": supervisor.options["timeout"],
        "lastTick": _age(supervisor.last_tick),
        "connectingSince": _age(supervisor.connecting_since),
    }
    if hasattr(gc, "mem_free"):
        found["heapFree"] = gc.mem_free()
        found["heapLow"] = supervisor.heap_low
    if supervisor.outbox is not None:
        found["outbox"] = supervisor.outbox.status()
    return found


def _age(since):
    return None if since is None else uptime() - since


def report_error(supervisor, error):
    """The client's method: tell on_background_exception of an error, as the client does."""
    supervisor.dispatcher.report(error)
