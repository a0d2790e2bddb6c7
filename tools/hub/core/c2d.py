"""Cloud-to-device messages: a queue for each identity, with locks, expiry and outcomes.

A message is delivered at most ten times; at most fifty wait. What became of one is kept as
feedback where its sender asked for it (iothub-ack). Source: spec iothub-mqtt and iothub-amqp.
"""

import json

from .errors import HubError, bad_request

MAX_WAITING = 50
MAX_DELIVERIES = 10
MAX_BODY = 64 * 1024
TIME_TO_LIVE = 3600
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
        self.holder = None  # the connection it is locked by


class Queue:
    """The messages that wait for one identity, oldest first."""

    def __init__(self, device_id, module_id, generation, store, clock):
        self._name = device_id, module_id
        self._generation = generation
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
        if ack not in _FEEDBACK:
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

    def take(self, holder):
        """Lock the oldest free message for `holder`, counting the delivery; None: none is free."""
        self.expire()
        for message in list(self._messages):
            if message.holder is not None:
                continue
            if message.deliveries >= MAX_DELIVERIES:
                self._settle(message, "DeliveryCountExceeded")
                continue
            message.holder = holder
            message.deliveries += 1
            self._store.put(
                "UPDATE messages SET deliveries = ? WHERE number = ?",
                *(message.deliveries, message.number),
            )
            return message
        return None

    def complete(self, message):
        self._settle(message, "Success")

    def reject(self, message):
        self._settle(message, "Rejected")

    def abandon(self, message):
        """Unlock a message: it will be delivered again."""
        message.holder = None

    def release(self, holder):
        """Abandon whatever `holder` had locked."""
        for message in self._messages:
            if message.holder is holder:
                message.holder = None

    def expire(self):
        """Drop the messages whose time is over and that nobody has locked."""
        now = self._clock()
        for message in list(self._messages):
            if message.holder is None and message.properties["expires"] <= now:
                self._settle(message, "Expired")

    def purge(self):
        """Drop all; how many there were."""
        messages = list(self._messages)
        for message in messages:
            self._settle(message, "Purged")
        return len(messages)

    def _settle(self, message, status):
        if message not in self._messages:
            return
        self._messages.remove(message)
        self._store.put("DELETE FROM messages WHERE number = ?", message.number)
        if status in _FEEDBACK[message.properties["ack"]]:
            record = {
                "originalMessageId": message.properties["system"].get("message-id"),
                "deviceId": self._name[0],
                "deviceGenerationId": self._generation,
                "statusCode": status,
                "description": status,
                "enqueuedTime": self._clock(),
            }
            self._store.put("INSERT INTO feedback (record) VALUES (?)", json.dumps(record))
