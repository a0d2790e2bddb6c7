"""Deliveries from when they are accepted to when they are settled, over however many links."""

import asyncio

from ..compat import ticks_diff, ticks_ms
from ..errors import OperationTimeout
from .composites import ACCEPTED, REJECTED
from .wire import refusal


class Pending:
    """What is to be sent by one link at a time. limit: seconds that a delivery may take in all.

    `drained` is set once there is nothing left.
    """

    def __init__(self, limit):
        self.drained = asyncio.Event()
        self._limit = limit * 1000
        self._deliveries = []  # oldest first
        self._sender = None

    def __len__(self):
        return len(self._deliveries)

    def attach(self, sender):
        """From now on `sender` is the link: it sends all that is not settled, again."""
        self._sender = sender
        for delivery in self._deliveries:
            sender.send(delivery)

    async def deliver(self, wire, delivery):
        """Send a Delivery; returns once it is settled. ServiceError: the hub does not take it.

        OperationTimeout at disposition: it is withdrawn; it may have arrived all the same.
        """
        delivery.accepted = ticks_ms()
        delivery.settled = asyncio.Event()
        self._deliveries.append(delivery)
        if self._sender is not None:  # one whose link is gone sends nothing: attach() will
            wire.send(self._sender, delivery)
        try:
            await delivery.settled.wait()  # the wire's keeper holds the deadline: oldest()
        except asyncio.CancelledError:
            if delivery in self._deliveries:
                self._take(delivery)
            raise
        if delivery.error is not None:
            raise delivery.error

    def settled(self, delivery, state):
        """The peer has settled a Delivery; one that is not of these is none of this one's."""
        if delivery not in self._deliveries:
            return
        outcome = getattr(state, "descriptor", None)
        if outcome not in (ACCEPTED, REJECTED):
            self._sender.send(delivery)  # released, or modified: not taken yet
            return
        self._take(delivery, refusal(state.error, "disposition") if outcome == REJECTED else None)

    def oldest(self, now):
        """What has waited longest, or None; what has waited too long fails."""
        while self._deliveries and ticks_diff(now, self._deliveries[0].accepted) > self._limit:
            reason = "not settled within %g s" % (self._limit / 1000)
            self._take(self._deliveries[0], OperationTimeout(reason, "disposition"))
        return self._deliveries[0] if self._deliveries else None

    def fail(self, error):
        """Nobody will send them any more."""
        while self._deliveries:
            self._take(self._deliveries[0], error)

    def _take(self, delivery, error=None):
        self._deliveries.remove(delivery)
        if self._sender is not None:
            self._sender.withdraw(delivery)
        delivery.error = error
        delivery.settled.set()
        if not self._deliveries:
            self.drained.set()
