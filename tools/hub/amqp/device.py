"""Device nodes: telemetry, cloud-to-device messages, twin and direct methods.

Source: docs/protocol/amqp.md, "Device links".
"""

import json

from iothub.amqp.codec import DecodeError, Typed
from iothub.amqp.composites import ACCEPTED, MODIFIED, REJECTED, Composite
from iothub.amqp.sections import DATA, AmqpMessage, decode_message

from ..core import json_body, twins
from ..core.errors import HubError, bad_request
from . import faults, messages
from .device_session import DeviceNode
from .faults import Fault, LinkFault
from .links import Buffer

LOCK = 60  # seconds that a device has to settle a C2D message
_BATCH_FORMAT = 0x80013700  # message-format of a batch: each data section is a message
_DESIRED = "/notifications/twin/properties/desired"


class Telemetry(DeviceNode):
    """/devices/{id}/messages/events, where the device sends."""

    def receive(self, message):
        if message.format == _BATCH_FORMAT:
            try:
                inner = [decode_message(part, exact=True) for part in message.parts]
            except (DecodeError, TypeError):
                raise bad_request("a data section of the batch is not a message") from None
        else:
            inner = [message]
        parsed = [_parts_of(one) for one in inner]
        method = self.connection.claims.method_of(self.identity)
        for body, system, application, annotations in parsed:
            self.core.telemetry(self.identity, body, system, application, annotations, method)


def _parts_of(message):
    return (
        messages.body_of(message),
        messages.system_of(message),
        messages.application_of(message),
        messages.annotations_of(message),
    )


class Messages(DeviceNode):
    """/devices/{id}/messages/devicebound, where the device receives C2D messages.

    accepted completes a message, released abandons it. A module receives its inputs at
    …/messages/events: that is this node too.
    """

    exclusive = True

    def deliver_messages(self):
        self.pull()

    def pull(self):
        to = f"/devices/{self.identity.device_id}/messages/devicebound"
        while self.link.credit > 0:
            waiting = self.identity.queue.take(self.link, LOCK)
            if waiting is None:
                break
            self.link.send(messages.of_c2d(waiting, to), waiting)
        self.link.finish_drain()

    def settled(self, item, outcome):
        queue = self.identity.queue
        code = outcome.descriptor if isinstance(outcome, Composite) else None
        if code == ACCEPTED:
            held = queue.complete(item, self.link)
        elif code == REJECTED or (code == MODIFIED and outcome.undeliverable_here):
            held = queue.reject(item, self.link)
        else:
            queue.abandon(item)
            held = True
        return None if held else Fault(faults.LOCK_LOST, "the lock on the message has timed out")

    def closed(self):
        self.identity.queue.release(self.link)
        super().closed()


class TwinAnswers(DeviceNode):
    """/devices/{id}/twin, where the device receives answers and desired properties."""

    def __init__(self, core, connection, link, identity):
        super().__init__(core, connection, link, identity)
        self.wants_desired = False
        self._buffer = Buffer(link)

    def pull(self):
        self._buffer.pull()

    def send(self, message):
        """Send an AmqpMessage as soon as there is credit."""
        self._buffer.send(message)

    def send_desired(self, patch):
        if self.wants_desired:
            message = AmqpMessage(json_body.encode(patch))
            message.annotations = {"resource": _DESIRED}
            self.send(message)


class TwinRequests(DeviceNode):
    """/devices/{id}/twin, where the device sends: GET, PATCH, and PUT or DELETE of notices."""

    def receive(self, request):
        answers = self._answers()
        correlation_id = request.properties and request.properties.correlation_id
        asked = [messages.plain(request.annotations.get(n)) for n in ("operation", "resource")]
        status, version, body = 200, None, b""
        try:
            version, body = self._perform(*asked, request, answers)
        except HubError as error:
            status = error.status
            body = json.dumps({"errorCode": error.code, "message": str(error)}).encode()
        answer = AmqpMessage(body, DATA, correlation_id=correlation_id)
        answer.annotations = {"status": Typed("int", status)}
        if version is not None:
            answer.annotations["version"] = version
        return lambda: answers.send(answer)

    def _answers(self):
        """The node on the same connection that the answers go to. LinkFault."""
        for node in self.session.nodes:
            if isinstance(node, TwinAnswers) and node.connection is self.connection:
                return node
        reason = "no link of this connection receives from the twin: attach one first"
        raise LinkFault(faults.NOT_ALLOWED, reason)

    def _perform(self, operation, resource, request, answers):
        """(version or None, body) of the answer. HubError."""
        if operation == "GET" and not resource:
            return None, twins.device_document(self.identity.twin)
        if operation == "PATCH" and resource == "/properties/reported":
            patch = json_body.decode(messages.body_of(request))
            return self.core.report(self.identity, patch), b""
        if operation in ("PUT", "DELETE") and resource == _DESIRED:
            answers.wants_desired = operation == "PUT"
            return None, b""
        raise bad_request("the twin does not support this operation on this resource")


class MethodCalls(DeviceNode):
    """/devices/{id}/methods/devicebound, where the device receives calls."""

    exclusive = True

    def __init__(self, core, connection, link, identity):
        super().__init__(core, connection, link, identity)
        self._buffer = Buffer(link)

    def pull(self):
        self._buffer.pull()

    def call_method(self, name, request_id, body):
        message = AmqpMessage(body, correlation_id=request_id)
        message.application = {"IoThub-methodname": name}
        self._buffer.send(message)
        return True


class MethodAnswers(DeviceNode):
    """/devices/{id}/methods/devicebound, where the device sends its answers."""

    def receive(self, message):
        status = messages.plain(message.application.get("IoThub-status"))
        request_id = message.properties and message.properties.correlation_id
        if isinstance(request_id, Typed):
            request_id = str(request_id.value)
        if not isinstance(status, int) or request_id is None:
            raise bad_request("a method's answer must have correlation-id and IoThub-status")
        body = b"" if message.body is None else messages.body_of(message)
        self.core.methods.answer(self.identity, request_id, status, body)
