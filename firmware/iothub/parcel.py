"""One message on its way through the outbox, and what is to be known of it."""

import time

from .errors import ServiceError
from .future import Once
from .messages import Message
from .mqtt.properties import decode_message, write_property

# AMQP conditions that pass; with any other the hub would refuse the same message again.
_BUSY = (
    "amqp:resource-limit-exceeded",
    "amqp:internal-error",
    "com.microsoft:timeout",
    "com.microsoft:server-busy",
)
_CLOCK_IS_SET = 2024  # a board that was never told the time is in 2000 or 1970


class Parcel(Once):
    """A message from acceptance to acknowledgement; once awaited it is kept, or has arrived."""

    seq = None  # in the store, once it is there
    carrier = None  # the task that brings it to the hub
    outcome = None  # True, or the error with which that ended

    def __init__(self, bag, payload, message=None, accepted=None):
        self.bag = bag
        self.payload = payload
        self.message = message
        self.accepted = accepted  # in seconds, of time.time(); None: the bag has a time already

    def take(self):
        """The Message: the sender's own for the first time, then one that is the same."""
        message, self.message = self.message, None
        if message is None:
            message = Message(self.payload)
            decode_message(self.bag.decode(), message)
        return message


def final(outcome):
    """Whether the same message would be refused again."""
    if isinstance(outcome, ServiceError):
        return outcome.code not in _BUSY
    return isinstance(outcome, (TypeError, ValueError))  # it cannot be written


def dated(bag, seconds):
    """The bag, with the time at which its message was accepted; a wrong clock says nothing."""
    date = time.gmtime(seconds)
    if date[0] < _CLOCK_IS_SET:
        return bag
    bag = bytearray(bag)
    write_property(bag, 0, "$.ctime", "%04d-%02d-%02dT%02d:%02d:%02dZ" % date[:6])
    return bytes(bag)
