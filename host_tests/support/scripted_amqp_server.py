"""A scripted AMQP server: it answers a device as a hub does, or as no hub should."""

import contextlib
import json

from host_tests.support.amqp_peer import AmqpPeer, disposition, flow, transfer
from host_tests.support.heard import Heard
from iothub.amqp.codec import Typed
from iothub.amqp.composites import (
    ATTACH,
    BEGIN,
    DISPOSITION,
    FLOW,
    INIT,
    MECHANISMS,
    OPEN,
    OUTCOME,
    TRANSFER,
    Composite,
)
from iothub.amqp.frames import AMQP_HEADER, SASL, SASL_HEADER, frame
from iothub.amqp.sections import VALUE, AmqpMessage, decode_message

_PIECE = 4000  # of a message in one frame: what the device takes


class ScriptedAmqpServer:
    """Sends every answer except the one that `silent` names.

    The names: header, mechanisms, outcome, second header, open, begin, token, disposition, twin,
    "attach " and "credit " with an address. instead: {name: what is sent in place of that answer,
    bytes or a function(bytes, connection) of bytes}.
    """

    def __init__(self, silent=None, instead=None):
        self.silent = silent
        self.instead = instead or {}
        self.connections = 0
        self.desired = {"$version": 1}
        self.statuses = []  # of the next answers about the twin, before they are good again
        self.poison = None  # a body of telemetry at which the connection is closed
        self.heard = Heard()  # [what, value, …]: telemetry's bodies, outcomes, requests, flows
        self._number = 100  # of the next delivery to the device
        self._peer = None  # the newest connection
        self._asked = None  # the last answer about the twin
        self._links = {}  # the device's handle: (address, whether it receives there)

    async def serve(self, reader, writer):
        self.connections += 1
        self._peer = peer = AmqpPeer(reader, writer)
        self._links = {}
        with contextlib.suppress(EOFError, OSError):
            while True:
                header, taken = await peer.header_or_frame()
                if header == SASL_HEADER:
                    offer = Composite(MECHANISMS, sasl_server_mechanisms=["ANONYMOUS"])
                    self._say("header", SASL_HEADER)
                    self._say("mechanisms", frame(0, offer, kind=SASL))
                elif header is not None:
                    self._say("second header", AMQP_HEADER)
                elif taken[2] is not None and peer is self._peer:
                    self._answer(taken[2], taken[3])

    async def outcome(self, number):
        """Wait for the outcome of a delivery: its descriptor."""
        return (await self.heard.first("outcome", number))[2]

    def send(self, data):
        """Send bytes to the newest connection."""
        self._peer.write(data)

    def deliver(self, path, message):
        """Send an AmqpMessage, or its bytes, on the device's link of this name, unsettled: the
        delivery's number.
        """
        number, self._number = self._number, self._number + 1
        data = message if isinstance(message, bytes) else message.encode()
        for at in range(0, len(data), _PIECE):
            more = at + _PIECE < len(data)
            piece = transfer(self._receiving(path), number, more=more)
            self._peer.send(piece, data[at : at + _PIECE])
        return number

    def cut(self):
        """Reset the newest connection, as a broken network does."""
        self._peer.abort()

    def answer_twin(self):
        """Send the twin answer that was left out last."""
        self._reply("twin", "/twin", self._asked)

    def _say(self, what, data):
        if what != self.silent:
            other = self.instead.get(what, data)
            self._peer.write(other(data, self.connections) if callable(other) else other)

    def _receiving(self, path):
        for handle, (address, receives) in self._links.items():
            if receives and address.endswith(path):
                return handle
        raise LookupError(path)

    def _answer(self, got, payload):
        kind = got.descriptor
        if kind == INIT:
            self._say("outcome", frame(0, Composite(OUTCOME, code=0), kind=SASL))
        elif kind == OPEN:
            opened = Composite(OPEN, container_id="x", max_frame_size=65536, idle_time_out=4000)
            self._say("open", frame(0, opened))
        elif kind == BEGIN:
            window = {"incoming_window": 1000, "outgoing_window": 1000}
            begin = Composite(BEGIN, remote_channel=0, next_outgoing_id=0, **window)
            self._say("begin", frame(0, begin))
        elif kind == ATTACH:
            self._attach(got)
        elif kind == TRANSFER:
            self._transfer(got, payload)
        elif kind == DISPOSITION:
            self.heard.note("outcome", got.first, got.state.descriptor)
        elif kind == FLOW and got.handle in self._links:
            address = self._links[got.handle][0]
            self.heard.note("credit", address, got.delivery_count, got.link_credit)

    def _attach(self, got):
        address = (got.source if got.role else got.target).address
        self._links[got.handle] = address, got.role
        attach = Composite(
            ATTACH, name=got.name, handle=got.handle, role=not got.role, source=got.source,
            target=got.target, initial_delivery_count=0,
        )  # fmt: skip
        self._say("attach " + address, frame(0, attach))
        if not got.role:
            self._say("credit " + address, frame(0, flow(got.handle, 100)))

    def _transfer(self, got, payload):
        address, _ = self._links[got.handle]
        if address == "$cbs":
            self._reply("token", "$cbs", self._token(decode_message(payload)))
        elif address.endswith("/twin"):
            self._asked = self._twin(decode_message(payload))
            self._reply("twin", "/twin", self._asked)
        elif address.endswith("/methods/devicebound"):
            answer = decode_message(payload)
            status = answer.application["IoThub-status"]
            self.heard.note("method", answer.properties.correlation_id, status, answer.body)
        else:
            body = decode_message(payload).body
            self.heard.note("telemetry", body)
            if body == self.poison:
                raise ConnectionAbortedError
            self._say("disposition", frame(0, disposition(got.delivery_id)))

    def _reply(self, what, path, message):
        settled = transfer(self._receiving(path), 0, settled=True)
        self._say(what, frame(0, settled, message.encode()))

    def _token(self, request):
        answer = AmqpMessage(None, VALUE, correlation_id=request.properties.message_id)
        answer.application = {"status-code": Typed("int", 200)}
        return answer

    def _twin(self, request):
        operation = request.annotations["operation"]
        self.heard.note("twin", operation)
        twin = {"desired": self.desired, "reported": {"$version": 1}}
        body = json.dumps(twin).encode() if operation == "GET" else b""
        answer = AmqpMessage(body, correlation_id=request.properties.correlation_id)
        status = self.statuses.pop(0) if self.statuses and operation != "PUT" else 200
        answer.annotations = {"status": Typed("int", status)}
        return answer
