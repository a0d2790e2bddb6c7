"""Requests and their answers: $cbs, where tokens are put, and $management, which tells of events.

An answer goes to the link that receives from the same node on the same connection.
Source: spec iothub-amqp, "Authentication"; sdk-expectations, azure-eventhub.
"""

import asyncio
import logging

from iothub.amqp.codec import Typed
from iothub.amqp.sections import VALUE, AmqpMessage

from ..core.auth import TokenError
from ..core.errors import HubError, bad_request, not_found
from ..core.events import ENTITY, PARTITIONS
from ..core.values import text
from . import faults
from .faults import LinkFault
from .links import Node, Queued

log = logging.getLogger("hub.amqp")

_TOKEN_TYPE = "servicebus.windows.net:sastoken"


class Answers(Queued):
    """Where the peer receives answers."""

    def allowed(self, claims):
        return self.link.address.endswith("$cbs") or claims.may("service")

    def opened(self):
        self.link.connection.answers[self.link.address.lstrip("/")] = self

    def closed(self):
        answers = self.link.connection.answers
        if answers.get(self.link.address.lstrip("/")) is self:
            del answers[self.link.address.lstrip("/")]

    def answer(self, request, status, description, body=None):
        """Answer a request: its message id comes back, of the same type."""
        message = AmqpMessage(body, VALUE, correlation_id=request.properties.message_id)
        message.application = {
            "status-code": Typed("int", status),
            "statusCode": Typed("int", status),
            "status-description": description,
            "statusDescription": description,
        }
        self.queue(message)


class _Requests(Node):
    """Where the peer sends requests."""

    def _answers(self, request):
        """The Answers for a request. LinkFault: there is nowhere to answer to."""
        answers = self.link.connection.answers.get(self.link.address.lstrip("/"))
        if answers is None:
            raise LinkFault(faults.NOT_ALLOWED, "no link receives the answers")
        if request.properties is None or request.properties.message_id is None:
            raise LinkFault(faults.INVALID_FIELD, "a request without message-id")
        return answers


class PutToken(_Requests):
    """$cbs: a token for a resource, which may come again and again."""

    def allowed(self, claims):
        return True

    def receive(self, request):
        answers = self._answers(request)
        fields = {name: text_of(value) for name, value in request.application.items()}
        connection = self.link.connection
        if fields.get("operation") != "put-token" or fields.get("type") != _TOKEN_TYPE:
            return answers.answer(request, 400, "put-token of a SAS token is what there is")
        if not isinstance(request.body, str):
            return answers.answer(request, 400, "the body is no string")
        try:
            connection.put_token(request.body, fields.get("name") or "")
        except TokenError as error:
            log.info("%s: put-token refused: %s", connection, error)
            return answers.answer(request, 401, f"{error.name}: {error}")
        return answers.answer(request, 200, "OK")


class Management(_Requests):
    """$management: READ of the event hub and of its partitions."""

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
                raise bad_request("READ is the operation there is")
            if fields.get("name") != ENTITY:
                raise not_found(f"the event hub {fields.get('name')}")
            if fields.get("type") == "com.microsoft:eventhub":
                body = self._event_hub()
            elif fields.get("type") == "com.microsoft:partition":
                body = await self._partition(fields.get("partition") or "")
            else:
                raise bad_request("com.microsoft:eventhub and :partition are what there is")
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
        last = await self.link.connection.core.events.newest(int(name))
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


def text_of(value):
    """A request's field as text; None for what has none."""
    value = value.value if isinstance(value, Typed) else value
    return text(value) if isinstance(value, (str, int)) else None
