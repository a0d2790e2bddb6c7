"""Dispositions for the messages that a peer has sent: sent once the messages are on disk."""

from iothub.amqp.composites import DISPOSITION, Composite

from ..core.durable_queue import DurableQueue


class Settlement:
    """The deliveries of one connection that wait for their disposition."""

    def __init__(self, durable, failed):
        self._queue = DurableQueue(durable, self._send, failed)

    async def run(self):
        """Send dispositions until the task is cancelled."""
        await self._queue.run()

    async def settle(self, session, delivery_id, outcome, then=None):
        """Settle a delivery with `outcome`, and call then(), when all that came is on disk.

        delivery_id: None for a delivery that the peer had settled itself. This waits while too
        many deliveries wait already, so the peer is held back.
        """
        await self._queue.put((session, delivery_id, outcome), then)

    def _send(self, deliveries):
        for session, first, last, outcome in _ranges(deliveries):
            session.send(
                Composite(
                    DISPOSITION, role=True, first=first, last=last, settled=True, state=outcome
                )
            )
        for session in dict.fromkeys(session for session, *_ in deliveries):
            session.replenish()


def _ranges(deliveries):
    """(session, first, last, outcome): neighbours with the same outcome share a disposition."""
    current = None
    for session, delivery_id, outcome in deliveries:
        if delivery_id is None:
            continue
        if (
            current
            and current[0] is session
            and current[2] + 1 == delivery_id
            and current[3] is outcome
        ):
            current[2] = delivery_id
        else:
            if current:
                yield current
            current = [session, delivery_id, delivery_id, outcome]
    if current:
        yield current
