"""Claims-based security: SAS tokens are put on the node $cbs.

Contract: docs/protocol/amqp.md, Authentication.
"""

import os

from ..compat import Future, wait_for
from ..errors import CredentialError, ProtocolError
from ..pending import Delivery, answer
from .sections import VALUE, AmqpMessage, decode_message


class Cbs:
    """The two links to $cbs, on one connection. protocol: an AMQPProtocol."""

    def __init__(self, protocol, timeout):
        self._protocol = protocol
        self._timeout = timeout
        self._sender = self._receiver = None
        self._request = int.from_bytes(os.urandom(3), "big")

    async def put(self, token, audience):
        """Put a token. CredentialError: the hub does not accept it; OperationTimeout."""
        if self._sender is None:
            self._sender = self._protocol.sender(self, "$cbs")
            self._receiver = self._protocol.receiver(self, "$cbs")
        for link in (self._sender, self._receiver):
            await wait_for(link.opened, self._timeout, "attach")
        self._request = (self._request + 1) & 0xFFFFFF
        request = "%x" % self._request
        message = AmqpMessage(token, VALUE, message_id=request, to="$cbs", reply_to="cbs")
        message.application = {
            "operation": "put-token",
            "type": "servicebus.windows.net:sastoken",
            "name": audience,
        }
        put = Delivery(message.encode(), b"")
        put.presettled = True
        asked = self._protocol.requests[request] = Future()
        self._sender.send(put)
        try:
            status, description = await wait_for(asked, self._timeout, "token")
        finally:
            self._protocol.requests.pop(request, None)
        if status not in (200, 202):
            raise CredentialError(description or "the token is refused", "token", status)

    def on_message(self, receiver, number, payload):
        receiver.settle(number)
        receiver.grant()
        message = decode_message(payload)
        request = message.properties and message.properties.correlation_id
        fields = message.application
        status = fields.get("status-code"), fields.get("status-description")
        answer(self._protocol.requests, request, status)

    def on_oversized(self, receiver, number, size, head):
        raise ProtocolError("an answer of %d bytes" % size, "token")

    def on_settled(self, delivery, state):
        """Nothing: tokens are sent settled."""

    def on_detached(self, link, error):
        self._sender = None  # the next token attaches both anew
