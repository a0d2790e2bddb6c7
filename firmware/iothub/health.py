"""Health report of a client, and the watchdog's check of the client's own deadlines.

health = Health(client, reset_cause="power on")
asyncio.create_task(health.run())
"""

import asyncio
import gc

from .compat import ticks_diff, ticks_ms

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
        now, status = ticks_ms(), self._client.status()
        timeout, tick, since = status["timeout"], status["lastTick"], status["connectingSince"]
        if tick is not None and ticks_diff(now, tick) > (timeout + _SLACK) * 1000:
            return "keep-alive"
        limit = (timeout * _STEPS + _SLACK) * 1000
        return "connect" if since is not None and ticks_diff(now, since) > limit else None


class Health:
    """Reports snapshot() as the reported property `health`, at most once in `every` seconds.

    reset_cause: why the board started, as board.reset.cause() says it.
    """

    def __init__(self, client, reset_cause=None, every=3600):
        self._client = client
        self._every = min(every, 400000)  # the longest that the board's ticks can tell apart
        self._reported = None  # when, in ticks
        self._up, self._then = 0, ticks_ms()  # ms up to `then`; the clock may be set meanwhile
        self._fixed = {} if reset_cause is None else {"resetCause": reset_cause}

    def report_body(self):
        """snapshot(), with resetCause and uptime (seconds)."""
        found = snapshot(self._client)
        found.update(self._fixed)
        found["uptime"] = self._uptime()
        return found

    def _uptime(self):
        before, self._then = self._then, ticks_ms()
        self._up += ticks_diff(self._then, before)
        return self._up // 1000

    async def report(self):
        """Report now, unless that was done less than `every` seconds ago; whether it was.

        Errors as of patch_twin_reported_properties().
        """
        now = ticks_ms()
        if self._reported is not None and ticks_diff(now, self._reported) < self._every * 1000:
            return False
        self._reported = now
        await self._client.patch_twin_reported_properties({"health": self.report_body()})
        return True

    async def run(self):
        """Report when it is time and there is a connection; after an error, the next time."""
        while True:
            self._uptime()
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
    timeout: the option. lastTick: when deadlines were looked at last. connectingSince: when the
    attempt under way began. Both in ticks (ms), or None.
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
        "lastTick": supervisor.last_tick,
        "connectingSince": supervisor.connecting_since,
    }
    if hasattr(gc, "mem_free"):
        found["heapFree"] = gc.mem_free()
        found["heapLow"] = supervisor.heap_low
    if supervisor.outbox is not None:
        found["outbox"] = supervisor.outbox.status()
    return found


def report_error(supervisor, error):
    """The client's method: tell on_background_exception of an error, as the client does."""
    supervisor.dispatcher.report(error)
