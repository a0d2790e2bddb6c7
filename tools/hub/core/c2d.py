"""Cloud-to-device (C2D) messages: a queue for each identity, with locks, expiry and outcomes.

At most 50 messages wait, and each is delivered at most 10 times. The outcome becomes a feedback
record if the sender asked for it (iothub-ack). Source: docs/protocol/amqp.md,
"Cloud-to-device messages" and "Feedback".
"""

import json

from .errors import HubError, bad_request
from .values import iso, text

MAX_WAITING = 50
MAX_DELIVERIES = 10
MAX_BODY = 64 * 1024
TIME_TO_LIVE = 3600
INPUT_NAME = "input-name"  # a system property: the module input that the message is for
_FEEDBACK = {
    "none": (),
    "positive": ("Success",),
    "negative": ("Expired", "DeliveryCountExceeded", "Rejected", "Purged"),
    "full": ("Success", "Expired", "DeliveryCountExceeded", "Rejected", "Purged"),
}


class Message:
    """One message in a queue.

    properties: {"system": {AMQP name: value}, "application": {name: str or None},
    "expires": seconds since 1970, "ack": …, "enqueued": …}.
    """

    def __init__(self, number, properties, body, deliveries=0):
        self.number = number
        self.properties = properties
        self.body = body
        self.deliveries = deliveries
        self.holder = None  # the session or link that has locked it
        self.locked_until = None  # seconds since 1970; None: as long as the holder lives


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

    def __iter__(self):
        return iter(self._messages)

    def restore(self, message):
        """Put back a message that the database had."""
        self._messages.append(message)

    def enqueue(self, number, body, system, application, ack="none", expires=None):
        """Append a message. HubError 400 (unknown ack), 403 (50 wait already), 413 (too large)."""
        if len(body) > MAX_BODY:
            raise HubError(413, "MessageTooLarge", "the message is larger than 64 KB", 413001)
        if not isinstance(ack, str) or ack not in _FEEDBACK:
            raise bad_request("iothub-ack must be none, positive, negative or full")
        self.expire()
        if len(self._messages) >= MAX_WAITING:
            reason = f"{MAX_WAITING} messages already wait for this device"
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
        """Lock the oldest free message for `holder`, and count the delivery; None: none is free.

        lock: the seconds that `holder` has to settle it; None: as long as the holder lives.
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
        """Remove a message: the device has taken it. False: `holder` has lost its lock."""
        return self._settle(message, "Success", holder)

    def reject(self, message, holder=None):
        """Remove a message that the device refuses. False: `holder` has lost its lock."""
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
        """Abandon all messages that `holder` has locked."""
        for message in self._messages:
            if message.holder is holder:
                message.holder = None

    def expire(self):
        """Free the messages whose lock has timed out; drop expired messages that are free."""
        now = self._clock()
        for message in list(self._messages):
            if message.holder is not None and now >= (message.locked_until or now + 1):
                message.holder = None
            if message.holder is None and message.properties["expires"] <= now:
                self._settle(message, "Expired")

    def purge(self):
        """Drop all messages; returns how many there were."""
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
