"""A TLS server that answers an AMQP device as a hub does, or as no hub should."""

import asyncio
import contextlib
import json

from iothub.amqp.codec import Typed
from iothub.amqp.composites import (
    ACCEPTED,
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
from iothub.amqp.frames import AMQP_HEADER, SASL, SASL_HEADER, FrameDecoder, frame
from iothub.amqp.sections import VALUE, AmqpMessage, decode_message

PATIENCE = 30
_PIECE = 4000  # of a message in one frame: what the device takes


class ScriptedAmqpHub:
    """All answers come but for the one in `silent`; those in `wrong` ({name: bytes}) are others.

    What it can leave out: header, mechanisms, outcome, second header, open, begin, token,
    disposition, twin, "attach " and "credit " with an address.
    """

    def __init__(self, silent=None, wrong=None):
        self.silent = silent
        self.wrong = wrong or {}
        self.connections = 0
        self.desired = {"$version": 1}
        self.statuses = []  # of the next answers about the twin, before they are good again
        self.heard = []  # [what, value …]: telemetry's bodies, outcomes, requests, flows
        self._news = asyncio.Event()
        self._number = 100  # of the next delivery to the device
        self._writer = None
        self._asked = None  # the last answer about the twin
        self._links = {}  # the device's handle: (address, whether it receives there)

    async def serve(self, reader, writer):
        self.connections += 1
        self._writer, self._links, decoder = writer, {}, FrameDecoder(1 << 20)
        with contextlib.suppress(OSError):
            while data := await asyncio.wait_for(reader.read(65536), PATIENCE):
                decoder.feed(data)
                while decoder.at_header() and (header := decoder.take_header()):
                    if header == SASL_HEADER:
                        offer = Composite(MECHANISMS, sasl_server_mechanisms=["ANONYMOUS"])
                        self._say("header", SASL_HEADER)
                        self._say("mechanisms", frame(0, offer, kind=SASL))
                    else:
                        self._say("second header", AMQP_HEADER)
                while not decoder.at_header() and (taken := decoder.take()):
                    if taken[2] is not None and writer is self._writer:
                        self._answer(taken[2], taken[3])
        writer.close()

    async def hears(self, *wanted, count=1):
        """Wait until [what, value …] has been heard `count` times."""
        while self.heard.count(list(wanted)) < count:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), PATIENCE)

    async def outcome(self, number):
        """Wait until a delivery has an outcome: its descriptor."""
        while True:
            for words in self.heard:
                if words[:2] == ["outcome", number]:
                    return words[2]
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), PATIENCE)

    def send(self, data):
        """Send bytes to the connection that was made last."""
        self._writer.write(data)

    def deliver(self, path, message):
        """Send an AmqpMessage, or its bytes, on the device's own link of this name, unsettled;
        the delivery's number.
        """
        number, self._number = self._number, self._number + 1
        data = message if isinstance(message, bytes) else message.encode()
        for at in range(0, len(data), _PIECE):
            transfer = Composite(
                TRANSFER, handle=self._receiving(path), delivery_id=number,
                delivery_tag=number.to_bytes(4, "big"), more=at + _PIECE < len(data),
            )  # fmt: skip
            self.send(bytes(frame(0, transfer, data[at : at + _PIECE])))
        return number

    def cut(self):
        """End the connection, as a broken network does."""
        self._writer.transport.abort()

    def answer_twin(self):
        """Give the answer about the twin that was left out last."""
        self._reply("twin", "/twin", self._asked)

    def _say(self, what, data):
        if what != self.silent:
            self._writer.write(bytes(self.wrong.get(what, data)))

    def _note(self, *words):
        self.heard.append(list(words))
        self._news.set()

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
            self._note("outcome", got.first, got.state.descriptor)
        elif kind == FLOW and got.handle in self._links:
            self._note("credit", self._links[got.handle][0], got.delivery_count, got.link_credit)

    def _attach(self, got):
        address = (got.source if got.role else got.target).address
        self._links[got.handle] = address, got.role
        attach = Composite(
            ATTACH, name=got.name, handle=got.handle, role=not got.role, source=got.source,
            target=got.target, initial_delivery_count=0,
        )  # fmt: skip
        self._say("attach " + address, frame(0, attach))
        if not got.role:
            flow = Composite(
                FLOW, next_incoming_id=0, incoming_window=1000, next_outgoing_id=0,
                outgoing_window=1000, handle=got.handle, delivery_count=0, link_credit=100,
            )  # fmt: skip
            self._say("credit " + address, frame(0, flow))

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
            self._note("method", answer.properties.correlation_id, status, answer.body)
        else:
            self._note("telemetry", decode_message(payload).body)
            settled = Composite(
                DISPOSITION, role=True, first=got.delivery_id, settled=True,
                state=Composite(ACCEPTED),
            )  # fmt: skip
            self._say("disposition", frame(0, settled))

    def _reply(self, what, path, message):
        transfer = Composite(
            TRANSFER, handle=self._receiving(path), delivery_id=0, delivery_tag=b"t", settled=True
        )
        self._say(what, frame(0, transfer, message.encode()))

    def _token(self, request):
        answer = AmqpMessage(None, VALUE, correlation_id=request.properties.message_id)
        answer.application = {"status-code": Typed("int", 200)}
        return answer

    def _twin(self, request):
        operation = request.annotations["operation"]
        self._note("twin", operation)
        twin = {"desired": self.desired, "reported": {"$version": 1}}
        body = json.dumps(twin).encode() if operation == "GET" else b""
        answer = AmqpMessage(body, correlation_id=request.properties.correlation_id)
        status = self.statuses.pop(0) if self.statuses and operation != "PUT" else 200
        answer.annotations = {"status": Typed("int", status)}
        return answer
