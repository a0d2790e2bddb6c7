"""What waits for the hub, in both protocols: telemetry that is not acknowledged, and requests.

Telemetry outlives connections. A request, a Future in a dict, lives as long as one connection.
"""

from .compat import Future, ticks_diff
from .errors import HEAP_FULL, OperationTimeout


def answer(requests, key, value=None, error=None):
    """Resolve a request: requests is {key: Future}. One that nobody waits for is ignored."""
    future = requests.pop(key, None)
    if future is not None:
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


def fail_all(requests, error):
    """Nothing will answer any more. It takes no heap."""
    while requests:
        for key in requests:
            answer(requests, key, None, error)
            break  # the dict has changed


class Delivery(Future):
    """A message on its way. Awaiting it ends when the hub has acknowledged it.

    Cancelling the task that awaits it withdraws it.
    """

    number = 0  # MQTT's packet id, once it was sent; AMQP numbers deliveries by link
    accepted = 0  # ticks in ms
    presettled = False  # AMQP: the hub is not asked to settle it

    def __init__(self, head, body, pending=None):
        super().__init__()
        self.head = head  # MQTT: the topic; AMQP: the sections before the body
        self.body = body
        self.pending = pending

    def abandoned(self):
        if self.pending is not None:
            self.pending.remove(self)


class Pending:
    """Deliveries, oldest first. The first `sent` of them were sent on the current connection.

    limit: how many ms a delivery may wait in all. window: how many are in flight at once.
    """

    def __init__(self, limit, window, stage):
        self._limit = limit
        self._window = window
        self._stage = stage
        self._deliveries = []
        self._sent = 0
        self._drained = None

    def __len__(self):
        return len(self._deliveries)

    def add(self, head, body, now):
        """Accept a message: the Delivery, to be awaited."""
        delivery = Delivery(head, body, self)
        delivery.accepted = now
        self._deliveries.append(delivery)
        return delivery

    def next(self):
        """The next Delivery to send on this connection; None: none, or the window is full."""
        sent = self._sent
        if sent >= self._window or sent == len(self._deliveries):
            return None
        self._sent = sent + 1
        return self._deliveries[sent]

    def restart(self):
        """The connection has ended: all are to be sent again, on the next one."""
        self._sent = 0
        if self._drained is not None:
            self._drained.set_result()

    def acknowledge(self, number):
        """The hub has acknowledged what was sent on this connection with that number."""
        for i in range(self._sent):  # almost always the first
            if self._deliveries[i].number == number:
                self._deliveries[i].set_result()
                self._pop(i)
                return

    def uses(self, number):
        """Whether a Delivery has that number, on this connection or on an earlier one."""
        for delivery in self._deliveries:
            if delivery.number == number:
                return True
            if not delivery.number:  # numbers are given in order
                break
        return False

    def oldest(self, unsent=False):
        """The Delivery that has waited longest for its acknowledgement on this connection, or
        None. unsent: also count what waits to be sent on this connection.
        """
        return self._deliveries[0] if self._sent or unsent and self._deliveries else None

    def remove(self, delivery):
        """Forget a Delivery; whether it was there."""
        if delivery not in self._deliveries:
            return False
        self._pop(self._deliveries.index(delivery))
        return True

    def _pop(self, index):
        if index < self._sent:
            self._sent -= 1
        delivery = self._deliveries.pop(index)
        if self._drained is not None and not self._deliveries:
            self._drained.set_result()
        return delivery

    def settle(self, delivery, error=None):
        """The hub has taken a Delivery, or refused it with `error`."""
        if delivery in self._deliveries:
            if error is None:
                delivery.set_result()
            else:
                delivery.set_exception(error)
            self.remove(delivery)

    def send_again(self, delivery):
        """The hub has not taken a Delivery: it is the next to be sent."""
        if delivery in self._deliveries:
            index = self._deliveries.index(delivery)
            del self._deliveries[index]  # not _pop(): it is not done with, so nothing is drained
            self._sent -= index < self._sent
            self._deliveries.insert(self._sent, delivery)

    def expire(self, now):
        """Fail what was accepted longer ago than the limit."""
        at = 0
        while at < len(self._deliveries):
            delivery = self._deliveries[at]
            if ticks_diff(now, delivery.accepted) > self._limit:
                try:
                    reason = "no acknowledgement within %g s" % (self._limit / 1000)
                    error = OperationTimeout(reason, self._stage)
                except MemoryError:  # there is no heap to say so
                    error = HEAP_FULL
                self.settle(delivery, error)
            else:
                at += 1  # the next may be older, if it was released meanwhile

    def fail(self, error):
        """Nothing will be sent any more: fail them all."""
        while self._deliveries:
            self.settle(self._deliveries[0], error)

    def drained(self):
        """A Future for the moment when nothing waits, or the connection has ended."""
        self._drained = Future()
        if not self._deliveries:
            self._drained.set_result()
        return self._drained
