"""The service's links: messages to devices, and what became of them.

Source: spec iothub-amqp, "Service links".
"""

import json
import re
import uuid
from urllib.parse import unquote

from iothub.amqp.codec import Typed
from iothub.amqp.composites import ACCEPTED, REJECTED, Composite
from iothub.amqp.sections import AmqpMessage

from ..core.errors import bad_request
from ..core.values import milliseconds
from . import messages
from .links import Node

_TO = re.compile(r"/?devices/([^/]+)(?:/modules/([^/]+))?/messages/devicebound/?", re.IGNORECASE)
_FEEDBACK_TYPE = "application/vnd.microsoft.iothub.feedback.json"


class _ServiceNode(Node):
    def allowed(self, claims):
        return claims.may("service")


class SendMessage(_ServiceNode):
    """/messages/devicebound: each message names its device in `to`."""

    def receive(self, message):
        core = self.link.connection.core
        system = messages.system_of(message)
        application = messages.application_of(message)
        match = _TO.fullmatch(str(system.pop("to", "")))
        if match is None:
            raise bad_request("to is not /devices/{device}/messages/devicebound")
        identity = core.identities.get(unquote(match[1]), unquote(match[2] or ""))
        ack = application.pop("iothub-ack", None) or "none"
        expires = milliseconds(system.get("absolute-expiry-time"))
        if expires is None and message.header and message.header.ttl:
            expires = core.clock() * 1000 + message.header.ttl
        body = messages.body_of(message)
        core.send_message(
            identity, body, system, application, ack, expires and max(1, expires) / 1000
        )


class ReadFeedback(_ServiceNode):
    """/messages/serviceBound/feedback: batches of records, each settled as a whole."""

    def opened(self):
        self.link.connection.core.feedback.listeners.add(self.pull)

    def closed(self):
        feedback = self.link.connection.core.feedback
        feedback.listeners.discard(self.pull)
        feedback.release(self.link)

    def pull(self):
        core = self.link.connection.core
        while self.link.credit > 0:
            batch = core.feedback.take(self.link)
            if batch is None:
                break
            message = AmqpMessage(
                json.dumps(batch.records).encode(),
                message_id=str(uuid.uuid4()),
                user_id=(self.link.connection.hostname or "").encode(),
                to="/messages/serviceBound/feedback",
                content_type=_FEEDBACK_TYPE,
                content_encoding="utf-8",
            )
            message.annotations = {
                "x-opt-sequence-number": batch.numbers[0],
                "x-opt-enqueued-time": Typed("timestamp", int(core.clock() * 1000)),
            }
            self.link.send(message, batch)
        self.link.drained()

    def settled(self, what, outcome):
        feedback = self.link.connection.core.feedback
        if isinstance(outcome, Composite) and outcome.descriptor in (ACCEPTED, REJECTED):
            feedback.complete(what)
        else:
            feedback.abandon(what)


class SettleMessage(Node):
    """/messages/serviceBound/feedback as a device sends to it: what became of its messages.

    The body is a list like the one a service reads: originalMessageId, deviceId, statusCode
    (Success, Rejected or Abandoned).
    """

    def allowed(self, claims):
        return True  # each record is judged by its device

    def receive(self, message):
        try:
            records = json.loads(messages.body_of(message))
            settlements = [self._settlement(record) for record in records]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise bad_request("no list of originalMessageId, deviceId, statusCode") from None
        for settle, waiting in settlements:
            settle(waiting)

    def _settlement(self, record):
        core, claims = self.link.connection.core, self.link.connection.claims
        identity = core.identities.get(record["deviceId"], record.get("moduleId", ""))
        if not claims.covers(identity):
            raise bad_request("the claims do not cover the device")
        queue = identity.queue
        outcomes = {
            "Success": queue.complete,
            "Rejected": queue.reject,
            "Abandoned": queue.abandon,
        }
        waiting = queue.find(record["originalMessageId"])
        if waiting is None:
            raise bad_request("no message with that id waits")
        return outcomes[record["statusCode"]], waiting


class FileNotifications(_ServiceNode):
    """/messages/serviceBound/filenotifications: there are none."""
