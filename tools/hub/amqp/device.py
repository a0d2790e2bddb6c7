"""A device's links: telemetry, messages, twin and methods; and its presence, made of them.

Source: spec iothub-amqp, "Device links".
"""

import json

from iothub.amqp.codec import DecodeError, Typed
from iothub.amqp.composites import ACCEPTED, MODIFIED, REJECTED, Composite
from iothub.amqp.sections import DATA, AmqpMessage, decode_message

from ..core import twins
from ..core.errors import HubError, bad_request
from . import faults, messages
from .faults import Fault, LinkFault
from .links import Node, Queued

LOCK = 60  # seconds a device has to settle a message
_BATCH_FORMAT = 0x80013700  # many messages in one: each a data section


class Presence:
    """The core's connection of an identity: its links, over one AMQP connection or several."""

    def __init__(self, core, identity):
        self._core = core
        self._identity = identity
        self._nodes = []

    @classmethod
    def add(cls, node):
        """A node of an identity is there: with the first one the identity is connected."""
        core, identity = node.link.connection.core, node.identity
        presence = identity.connection
        if not isinstance(presence, cls):
            presence = cls(core, identity)
            presence._nodes.append(node)
            core.connect(identity, presence)
            return presence
        others = [other for other in presence._nodes if isinstance(other, node.alone)]
        presence._nodes.append(node)
        for other in others:
            other.link.detach(LinkFault(faults.STOLEN, "another link took its place"))
        core.ready(identity)
        return presence

    def remove(self, node):
        if node in self._nodes:
            self._nodes.remove(node)
            if not self._nodes:
                self._core.disconnect(self._identity, self)

    def _of(self, kind):
        return [node for node in self._nodes if isinstance(node, kind)]

    # -- what the core asks -----------------------------------------------------------------

    def close(self, reason):
        for node in list(self._nodes):
            node.link.detach(LinkFault(faults.DETACH_FORCED, reason))

    def drop(self):
        for connection in {node.link.connection for node in self._nodes}:
            connection.drop()

    def messages_waiting(self):
        for node in self._of(Messages):
            node.pull()

    def desired(self, patch):
        for node in self._of(TwinAnswers):
            node.tell_desired(patch)

    def call_method(self, name, request_id, body):
        for node in self._of(MethodCalls):
            node.call(name, request_id, body)
            return True
        return False


class _DeviceNode(Node):
    alone = ()  # the kinds of node of which an identity has one: a new one takes its place

    def __init__(self, link, identity):
        super().__init__(link)
        self.identity = identity
        self._presence = None

    def allowed(self, claims):
        return claims.covers(self.identity)

    def opened(self):
        self._presence = Presence.add(self)

    def closed(self):
        if self._presence is not None:
            self._presence.remove(self)


# -- telemetry ----------------------------------------------------------------------------------


class Telemetry(_DeviceNode):
    """/devices/{d}/messages/events"""

    def receive(self, message):
        if message.format == _BATCH_FORMAT:
            try:
                inner = [decode_message(part, exact=True) for part in message.parts]
            except (DecodeError, TypeError):
                raise bad_request("a batch holds something that is no message") from None
        else:
            inner = [message]
        parsed = [_telemetry_of(one) for one in inner]
        core, identity = self.link.connection.core, self.identity
        method = self.link.connection.claims.method_of(identity)
        for body, system, application, annotations in parsed:
            core.telemetry(identity, body, system, application, annotations, method)


def _telemetry_of(message):
    return (
        messages.body_of(message),
        messages.system_of(message),
        messages.application_of(message),
        messages.annotations_of(message),
    )


# -- messages -----------------------------------------------------------------------------------


class Messages(_DeviceNode):
    """/devices/{d}/messages/devicebound: accepted completes, released abandons.

    A module receives its inputs at …/messages/events: that is this node too.
    """

    def pull(self):
        to = f"/devices/{self.identity.device_id}/messages/devicebound"
        while self.link.credit > 0:
            waiting = self.identity.queue.take(self.link, LOCK)
            if waiting is None:
                break
            self.link.send(messages.of_c2d(waiting, to), waiting)
        self.link.drained()

    def settled(self, what, outcome):
        queue = self.identity.queue
        code = outcome.descriptor if isinstance(outcome, Composite) else None
        if code == ACCEPTED:
            kept = queue.complete(what, self.link)
        elif code == REJECTED or (code == MODIFIED and outcome.undeliverable_here):
            kept = queue.reject(what, self.link)
        else:
            queue.abandon(what)
            kept = True
        return None if kept else Fault(faults.LOCK_LOST, "the message is another's by now")

    def closed(self):
        self.identity.queue.release(self.link)
        super().closed()


Messages.alone = (Messages,)


# -- twin ---------------------------------------------------------------------------------------


class TwinAnswers(_DeviceNode, Queued):
    """/devices/{d}/twin, received from: answers, and desired properties as they change."""

    def __init__(self, link, identity):
        super().__init__(link, identity)
        self.wants_desired = False

    def tell_desired(self, patch):
        if self.wants_desired:
            message = AmqpMessage(json.dumps(patch, ensure_ascii=False).encode())
            message.annotations = {"resource": "/notifications/twin/properties/desired"}
            self.queue(message)


class TwinRequests(_DeviceNode):
    """/devices/{d}/twin, sent to: GET and PATCH, and whether desired changes are told."""

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
        return lambda: answers.queue(answer)

    def _answers(self):
        """The link on the same connection that the answers go to."""
        for node in self._presence._of(TwinAnswers):
            if node.link.connection is self.link.connection:
                return node
        raise LinkFault(faults.NOT_ALLOWED, "no link receives the twin's answers")

    def _perform(self, operation, resource, request, answers):
        """(version or None, body) of the answer. HubError."""
        notifications = resource == "/notifications/twin/properties/desired"
        if operation == "GET" and not resource:
            twin = {s: twins.plain(self.identity.twin[s]) for s in ("desired", "reported")}
            return None, json.dumps(twin, ensure_ascii=False).encode()
        if operation == "PATCH" and resource == "/properties/reported":
            try:
                patch = json.loads(messages.body_of(request))
            except (ValueError, RecursionError):
                raise bad_request("the body is no JSON") from None
            return self.link.connection.core.report(self.identity, patch), b""
        if operation in ("PUT", "DELETE") and notifications:
            answers.wants_desired = operation == "PUT"
            return None, b""
        raise bad_request("the twin has no such operation or resource")


# -- methods ------------------------------------------------------------------------------------


class MethodCalls(_DeviceNode, Queued):
    """/devices/{d}/methods/devicebound, received from: calls."""

    def call(self, name, request_id, body):
        message = AmqpMessage(body, correlation_id=request_id)
        message.application = {"IoThub-methodname": name}
        self.queue(message)


MethodCalls.alone = (MethodCalls,)


class MethodAnswers(_DeviceNode):
    """/devices/{d}/methods/devicebound, sent to: answers."""

    def receive(self, message):
        status = messages.plain(message.application.get("IoThub-status"))
        request_id = message.properties and message.properties.correlation_id
        if isinstance(request_id, Typed):
            request_id = str(request_id.value)
        if not isinstance(status, int) or request_id is None:
            raise bad_request("a method's answer has correlation-id and IoThub-status")
        body = b"" if message.body is None else messages.body_of(message)
        self.link.connection.core.answer_method(self.identity, request_id, status, body)
