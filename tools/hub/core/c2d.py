"""Cloud-to-device messages: a queue for each identity, with locks, expiry and outcomes.

A message is delivered at most ten times; at most fifty wait. What became of one is kept as
feedback where its sender asked for it (iothub-ack). Source: spec iothub-mqtt and iothub-amqp.
"""

import json

from .errors import HubError, bad_request
from .values import iso, text

MAX_WAITING = 50
MAX_DELIVERIES = 10
MAX_BODY = 64 * 1024
TIME_TO_LIVE = 3600
INPUT_NAME = "input-name"  # a system property: the message is for that input of a module
_FEEDBACK = {
    "none": (),
    "positive": ("Success",),
    "negative": ("Expired", "DeliveryCountExceeded", "Rejected", "Purged"),
    "full": ("Success", "Expired", "DeliveryCountExceeded", "Rejected", "Purged"),
}


class Message:
    """properties: {"system": {AMQP name: value}, "application": {name: str or None},
    "expires": seconds since 1970, "ack": …, "enqueued": …}.
    """

    def __init__(self, number, properties, body, deliveries=0):
        self.number = number
        self.properties = properties
        self.body = body
        self.deliveries = deliveries
        self.holder = None  # the connection or link it is locked by
        self.locked_until = None  # None: as long as its holder lives


class Queue:
    """The messages that wait for one identity, oldest first."""

    def __init__(self, device_id, module_id, generation, store, clock, feedback):
        self._name = device_id, module_id
        self._generation = generation
        self._feedback = feedback
        self._store = store
        self._clock = clock
        self._messages = []

    def __len__(self):
        return len(self._messages)

    def restore(self, message):
        """Put back a message that the store had."""
        self._messages.append(message)

    def enqueue(self, number, body, system, application, ack="none", expires=None):
        """Append a message. HubError: 50 wait already, the body is too large, ack is unknown."""
        if len(body) > MAX_BODY:
            raise HubError(413, "MessageTooLarge", "the message is larger than 64 KB", 413001)
        if not isinstance(ack, str) or ack not in _FEEDBACK:
            raise bad_request("iothub-ack is none, positive, negative or full")
        self.expire()
        if len(self._messages) >= MAX_WAITING:
            reason = f"{MAX_WAITING} messages wait already"
            raise HubError(403, "DeviceMaximumQueueDepthExceeded", reason, 403004)
        now = self._clock()
        properties = {
            "system": system,
            "application": application,
            "ack": ack,
            "enqueued": now,
            "expires": expires or now + TIME_TO_LIVE,
        }
        message = Message(number, properties, body)
        self._messages.append(message)
        self._store.put(
            "INSERT INTO messages VALUES (?, ?, ?, ?, ?, 0)",
            *(number, *self._name, json.dumps(properties, ensure_ascii=False), body),
        )
        return message

    def take(self, holder, lock=None):
        """Lock the oldest free message for `holder`, counting the delivery; None: none is free.

        lock: how many seconds `holder` has to settle it; None: as long as it lives.
        """
        self.expire()
        for message in list(self._messages):
            if message.holder is not None:
                continue
            if message.deliveries >= MAX_DELIVERIES:
                self._settle(message, "DeliveryCountExceeded")
                continue
            message.holder = holder
            message.locked_until = lock and self._clock() + lock
            message.deliveries += 1
            self._store.put(
                "UPDATE messages SET deliveries = ? WHERE number = ?",
                *(message.deliveries, message.number),
            )
            return message
        return None

    def complete(self, message, holder=None):
        """It is done. False: `holder` has lost its lock by now."""
        return self._settle(message, "Success", holder)

    def reject(self, message, holder=None):
        """It is refused, and never comes again."""
        return self._settle(message, "Rejected", holder)

    def abandon(self, message):
        """Unlock a message: it will be delivered again."""
        message.holder = None

    def find(self, message_id):
        """The message that its sender gave this id, or None."""
        for message in self._messages:
            if message.properties["system"].get("message-id") == message_id:
                return message
        return None

    def release(self, holder):
        """Abandon whatever `holder` had locked."""
        for message in self._messages:
            if message.holder is holder:
                message.holder = None

    def expire(self):
        """Free the messages locked for too long; drop those whose time is over, unless locked."""
        now = self._clock()
        for message in list(self._messages):
            if message.holder is not None and now >= (message.locked_until or now + 1):
                message.holder = None
            if message.holder is None and message.properties["expires"] <= now:
                self._settle(message, "Expired")

    def purge(self):
        """Drop all; how many there were."""
        messages = list(self._messages)
        for message in messages:
            self._settle(message, "Purged")
        return len(messages)

    def _settle(self, message, status, holder=None):
        if message not in self._messages or (holder and message.holder is not holder):
            return False
        self._messages.remove(message)
        self._store.put("DELETE FROM messages WHERE number = ?", message.number)
        if status in _FEEDBACK[message.properties["ack"]]:
            self._feedback.add(
                {
                    "originalMessageId": text(message.properties["system"].get("message-id")),
                    "deviceId": self._name[0],
                    "deviceGenerationId": self._generation,
                    "statusCode": status,
                    "description": status,
                    "enqueuedTimeUtc": iso(self._clock()),
                }
            )
        return True
