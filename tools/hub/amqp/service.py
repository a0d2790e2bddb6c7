"""Service nodes: cloud-to-device messages, and feedback on them.

Source: docs/protocol/amqp.md, "Service links".
"""

import json
import re
import uuid
from urllib.parse import unquote

from iothub.amqp.codec import Typed
from iothub.amqp.composites import ACCEPTED, REJECTED, Composite
from iothub.amqp.sections import AmqpMessage

from ..core import json_body
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
    """/messages/devicebound: takes C2D messages; each names its device in `to`."""

    def receive(self, message):
        system = messages.system_of(message)
        application = messages.application_of(message)
        match = _TO.fullmatch(str(system.pop("to", "")))
        if match is None:
            raise bad_request("to must be /devices/{device id}/messages/devicebound")
        identity = self.core.identities.get(unquote(match[1]), unquote(match[2] or ""))
        ack = application.pop("iothub-ack", None) or "none"
        expires = milliseconds(system.get("absolute-expiry-time"))
        if expires is None and message.header and message.header.ttl:
            expires = self.core.clock() * 1000 + message.header.ttl
        body = messages.body_of(message)
        self.core.send_message(
            identity, body, system, application, ack, expires and max(1, expires) / 1000
        )


class ReadFeedback(_ServiceNode):
    """/messages/serviceBound/feedback: sends batches of records, each settled as a whole."""

    def opened(self):
        self.core.feedback.add_listener(self.pull)

    def closed(self):
        self.core.feedback.remove_listener(self.pull)
        self.core.feedback.release(self.link)

    def pull(self):
        while self.link.credit > 0:
            batch = self.core.feedback.take(self.link)
            if batch is None:
                break
            message = AmqpMessage(
                json.dumps(batch.records).encode(),
                message_id=str(uuid.uuid4()),
                user_id=(self.connection.hostname or "").encode(),
                to="/messages/serviceBound/feedback",
                content_type=_FEEDBACK_TYPE,
                content_encoding="utf-8",
            )
            message.annotations = {
                "x-opt-sequence-number": batch.numbers[0],
                "x-opt-enqueued-time": Typed("timestamp", int(self.core.clock() * 1000)),
            }
            self.link.send(message, batch)
        self.link.finish_drain()

    def settled(self, item, outcome):
        if isinstance(outcome, Composite) and outcome.descriptor in (ACCEPTED, REJECTED):
            self.core.feedback.complete(item)
        else:
            self.core.feedback.abandon(item)


class SettleMessage(Node):
    """/messages/serviceBound/feedback where a device sends: it settles its C2D messages.

    The body is a list like the one that a service reads: originalMessageId, deviceId, statusCode
    (Success, Rejected or Abandoned).
    """

    def allowed(self, claims):
        return True  # each record is checked against the claims

    def receive(self, message):
        try:
            records = json_body.decode(messages.body_of(message))
            settlements = [self._settlement(record) for record in records]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise bad_request(
                "the body must be a list of objects with originalMessageId, deviceId, statusCode"
            ) from None
        for settle, waiting in settlements:
            settle(waiting)

    def _settlement(self, record):
        identity = self.core.identities.get(record["deviceId"], record.get("moduleId", ""))
        if not self.connection.claims.covers(identity):
            raise bad_request("no token or certificate of this connection covers the device")
        queue = identity.queue
        outcomes = {
            "Success": queue.complete,
            "Rejected": queue.reject,
            "Abandoned": queue.abandon,
        }
        waiting = queue.find(record["originalMessageId"])
        if waiting is None:
            raise bad_request("no message with this id waits for the device")
        return outcomes[record["statusCode"]], waiting


class FileNotifications(_ServiceNode):
    """/messages/serviceBound/filenotifications: the hub sends none."""
