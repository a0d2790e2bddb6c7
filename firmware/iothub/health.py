"""How the client is: for a reported property, a method's answer, the watchdog.

health = Health(client, reset_cause="power on")
asyncio.create_task(health.run())
"""

import asyncio
import gc

from .compat import ticks_diff, ticks_ms

_SLACK = 10  # seconds that a deadline may be late, before it counts as missed
_STEPS = 10  # dns, tcp, proxy, tls, websocket, connack … each has `timeout`


def snapshot(client):
    """A dict that JSON can hold.

    connections; losses: {stage: how many connections ended there}; roundTrip: ms, or None;
    waiting: messages not acknowledged; dropped: C2D messages that come again; heapFree, heapLow:
    bytes, now and the least after connecting; outbox: {waiting, dropped, damaged}, if any.
    """
    waiting, round_trip = client._transport.health()
    found = {
        "connections": client.connections,
        "losses": client.losses,
        "roundTrip": round_trip,
        "waiting": waiting,
        "dropped": client.dropped,
    }
    if hasattr(gc, "mem_free"):
        gc.collect()
        found["heapFree"] = gc.mem_free()
        found["heapLow"] = client.heap_low
    outbox = client._outbox
    if outbox is not None:
        found["outbox"] = {
            "waiting": len(outbox),
            "dropped": outbox.dropped,
            "damaged": outbox.damaged,
        }
    return found


class Deadlines:
    """Whether a client keeps its own; to be asked every now and then."""

    def __init__(self, client):
        self._client = client
        self._limit = client._options["timeout"]
        self._attempt = None  # to connect: the one that was under way last time
        self._since = ticks_ms()
        self._keeper = None  # the one that ran last time

    def missed(self):
        """What has missed its deadline by far, as text, or None."""
        now, client = ticks_ms(), self._client
        transport = client._transport
        carrier = getattr(transport, "_link", None) or transport._wire
        keeper, self._keeper = self._keeper, carrier._keeper
        # The beat of one that has just been made is its predecessor's.
        beat = carrier.beat if keeper is not None and keeper is carrier._keeper else now
        if ticks_diff(now, beat) > (self._limit + _SLACK) * 1000:
            return "keeper"
        attempt = client._outcome
        if attempt is not self._attempt:
            self._attempt, self._since = attempt, now
        late = ticks_diff(now, self._since) > (self._limit * _STEPS + _SLACK) * 1000
        return "connect" if late and attempt is not None and not attempt.given else None


class Health:
    """Reports snapshot() as the reported property `health`, at most once in `every` seconds.

    reset_cause: why the board started, as board.reset.cause() says it.
    """

    def __init__(self, client, reset_cause=None, every=3600):
        self._client = client
        self._every = min(every, 400000)  # what the board's ticks can tell apart
        self._reported = None  # when, in ticks
        self._up, self._then = 0, ticks_ms()  # ms up to `then`; the clock may be set meanwhile
        self._fixed = {} if reset_cause is None else {"resetCause": reset_cause}

    def state(self):
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
        await self._client.patch_twin_reported_properties({"health": self.state()})
        return True

    async def run(self):
        """Report whenever it is time and there is a connection; an error waits for the next."""
        while True:
            self._uptime()
            if self._client.connected:
                try:
                    await self.report()
                except Exception as error:
                    self._client.problem(error)
            await asyncio.sleep(min(self._every, 1))
