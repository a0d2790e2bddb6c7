"""Request nodes: $cbs takes tokens (put-token), $management describes the event hub.

An answer goes to the link that receives from the same address on the same connection.
Source: docs/protocol/amqp.md, "Claims-based security (CBS)"; docs/protocol/eventhubs.md,
"$management".
"""

import asyncio
import logging

from iothub.amqp.codec import Typed
from iothub.amqp.sections import VALUE, AmqpMessage

from ..core.errors import HubError, Unauthorized, bad_request, not_found
from ..core.events import ENTITY, PARTITIONS
from ..core.values import text
from . import faults
from .faults import LinkFault
from .links import Buffer, Node

log = logging.getLogger("hub.amqp")

_TOKEN_TYPE = "servicebus.windows.net:sastoken"


class Answers(Node):
    """$cbs or $management where the peer receives: the answers."""

    def __init__(self, core, connection, link):
        super().__init__(core, connection, link)
        self._buffer = Buffer(link)

    def allowed(self, claims):
        return self.link.address.endswith("$cbs") or claims.may("service")

    def opened(self):
        self.connection.answers[_name(self.link)] = self

    def closed(self):
        if self.connection.answers.get(_name(self.link)) is self:
            del self.connection.answers[_name(self.link)]

    def pull(self):
        self._buffer.pull()

    def answer(self, request, status, description, body=None):
        """Answer a request. Its message id comes back as correlation id, with the same type."""
        message = AmqpMessage(body, VALUE, correlation_id=request.properties.message_id)
        message.application = {
            "status-code": Typed("int", status),
            "statusCode": Typed("int", status),
            "status-description": description,
            "statusDescription": description,
        }
        self._buffer.send(message)


class _Requests(Node):
    """A node where the peer sends requests."""

    def _answers(self, request):
        """The Answers node for a request. LinkFault."""
        answers = self.connection.answers.get(_name(self.link))
        if answers is None:
            raise LinkFault(
                faults.NOT_ALLOWED,
                "no link of this connection receives the answers: attach one first",
            )
        if request.properties is None or request.properties.message_id is None:
            raise LinkFault(faults.INVALID_FIELD, "a request must have a message-id")
        return answers


class PutToken(_Requests):
    """$cbs: takes a token for a resource; a new token replaces the old one."""

    def allowed(self, claims):
        return True

    def receive(self, request):
        answers = self._answers(request)
        fields = {name: text_of(value) for name, value in request.application.items()}
        if fields.get("operation") != "put-token" or fields.get("type") != _TOKEN_TYPE:
            return answers.answer(request, 400, f"$cbs supports put-token of {_TOKEN_TYPE} only")
        if not isinstance(request.body, str):
            return answers.answer(request, 400, "the body must be the SAS token, as a string")
        try:
            self.connection.put_token(request.body, fields.get("name") or "")
        except Unauthorized as error:
            log.info("%s: put-token refused: %s", self.connection, error)
            return answers.answer(request, 401, f"{error.name}: {error}")
        return answers.answer(request, 200, "OK")


class Management(_Requests):
    """$management: READ describes the event hub, or one partition."""

    def allowed(self, claims):
        return claims.may("service")

    def receive(self, request):
        answers = self._answers(request)
        task = asyncio.create_task(self._read(answers, request))
        self._task = task  # asyncio holds its tasks weakly

    async def _read(self, answers, request):
        fields = {name: text_of(value) for name, value in request.application.items()}
        try:
            if fields.get("operation") != "READ":
                raise bad_request("$management supports the operation READ only")
            if fields.get("name") != ENTITY:
                raise not_found(f"the event hub {fields.get('name')}")
            if fields.get("type") == "com.microsoft:eventhub":
                body = self._event_hub()
            elif fields.get("type") == "com.microsoft:partition":
                body = await self._partition(fields.get("partition") or "")
            else:
                raise bad_request(
                    "$management supports the types com.microsoft:eventhub and "
                    "com.microsoft:partition only"
                )
        except HubError as error:
            answers.answer(request, error.status, f"{error.name}: {error}")
        else:
            answers.answer(request, 200, "OK", body)

    def _event_hub(self):
        names = [str(number) for number in range(PARTITIONS)]
        return {
            "name": ENTITY,
            "type": "com.microsoft:eventhub",
            "created_at": Typed("timestamp", 0),
            "partition_count": Typed("int", PARTITIONS),
            "partition_ids": Typed("array", ("string", names)),
        }

    async def _partition(self, name):
        if not (name.isascii() and name.isdigit() and int(name) < PARTITIONS):
            raise not_found(f"partition {name[:20]}")
        last = await self.core.events.newest(int(name))
        return {
            "name": ENTITY,
            "type": "com.microsoft:partition",
            "partition": name,
            "begin_sequence_number": 0,
            "last_enqueued_sequence_number": last["sequenceNumber"] if last else -1,
            "last_enqueued_offset": str(last["position"]) if last else "-1",
            "last_enqueued_time_utc": Typed(
                "timestamp", int(last["enqueued"] * 1000) if last else 0
            ),
            "is_partition_empty": last is None,
        }


def _name(link):
    """$cbs or $management, as the key of Connection.answers."""
    return link.address.lstrip("/")


def text_of(value):
    """A request's property as text; None if it is neither a string nor a number."""
    value = value.value if isinstance(value, Typed) else value
    return text(value) if isinstance(value, (str, int)) else None
