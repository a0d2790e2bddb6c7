"""When to ping, and when to stop believing in a connection: no I/O, the time is passed in.

Any received byte proves the hub alive. Times are ticks in milliseconds.
"""

from .compat import ticks_diff
from .errors import OperationTimeout


class Watch:
    """timeout: how long the hub may owe an answer; keep_alive: MQTT's; both in seconds."""

    def __init__(self, timeout, keep_alive):
        self._limit = timeout * 1000
        # A ping goes out in time for the hub's clock; no answer ends the connection before the
        # hub itself would, one and a half times the keep-alive after it heard the last of us.
        self._quiet = keep_alive * 750
        self._ping_limit = min(self._limit, keep_alive * 500)
        self.round_trip = None  # of the last question that was measured, in ms
        self.begin(0)

    def begin(self, now):
        """A new connection: nothing is owed."""
        self.received = self.sent = self._asked = self._oldest_since = now
        self.writing = self._pinged = self._oldest = None

    def alive(self, now):
        """Something came."""
        self.received = now
        self._pinged = None
        if self._asked is not None:
            self.round_trip, self._asked = ticks_diff(now, self._asked), None

    def overdue(self, now, oldest, stage="puback"):
        """The error that ends the connection, or None. `oldest`: what waits longest, or None."""
        if oldest is not self._oldest:
            self._oldest, self._oldest_since = oldest, now
        if self.writing is not None and ticks_diff(now, self.writing) > self._limit:
            return OperationTimeout("the network takes no more bytes", "write")
        if oldest is not None and ticks_diff(now, self._oldest_since) > self._limit:
            return OperationTimeout("no answer within %g s" % (self._limit / 1000), stage)
        if self._pinged is not None and ticks_diff(now, self._pinged) > self._ping_limit:
            return OperationTimeout("no answer to a ping", "ping")
        return None

    def ping_due(self, now):
        """Whether a PINGREQ is to be sent now; it is then taken to be on its way."""
        quiet = max(ticks_diff(now, self.received), ticks_diff(now, self.sent))
        if self._pinged is not None or quiet < self._quiet:
            return False
        self._pinged = self._asked = self.sent = now
        return True
