"""A hub in memory that speaks AMQP to a transport over a MemoryStream, for both interpreters."""

from host_tests.support.memory_stream import MemoryStream
from iothub.amqp.composites import (
    ACCEPTED,
    ATTACH,
    BEGIN,
    CLOSE,
    DETACH,
    DISPOSITION,
    ERROR,
    FLOW,
    INIT,
    MECHANISMS,
    OPEN,
    OUTCOME,
    REJECTED,
    SOURCE,
    TARGET,
    TRANSFER,
    Composite,
    error_of,
)
from iothub.amqp.frames import SASL, SASL_HEADER, FrameDecoder, frame
from iothub.amqp.sections import AmqpMessage, decode_message


class AMQPHubStream(MemoryStream):
    """It answers what is written at once, unless the test holds it back.

    refuse: {address: an error Composite} of links that are not attached. silent: addresses whose
    attach is not answered. statuses: of the put-token requests to come. outcomes: descriptors of
    the dispositions to come (in a Composite: with no error, even REJECTED); None: none is sent.
    heard: what came, in order: ("attach", address), ("detach", address), ("message", address, an
    AmqpMessage), ("disposition", address, descriptor), ("close",).
    """

    def __init__(self):
        super().__init__()
        self.refuse, self.silent = {}, set()
        self.statuses, self.outcomes = [], []
        self.heard = []
        self.mechanisms = ["ANONYMOUS", "PLAIN"]
        self._decoder = FrameDecoder(1 << 20)
        self._links = {}  # the device's handle: (address, whether the device receives)
        self._parts = {}  # handle: (first frame, bytes)
        self._delivered = []  # addresses, by the number of what was delivered
        self.unsettled = []  # numbers of the device's messages

    # -- for the test -----------------------------------------------------------------------

    def addresses(self):
        """Of the links that the device has attached, in order."""
        return [told[1] for told in self.heard if told[0] == "attach"]

    def messages(self, address):
        """What came on a link: AmqpMessages."""
        return [told[2] for told in self.heard if told[:2] == ("message", address)]

    def dispositions(self):
        """The outcomes of what was delivered, but for answers to put-token: descriptors."""
        return [told[2] for told in self.heard if told[0] == "disposition" and told[1] != "$cbs"]

    def deliver(self, address, message):
        """Send an AmqpMessage to the device, on the link that receives from `address`."""
        number = len(self._delivered)
        self._delivered.append(address)
        self._say(
            TRANSFER,
            bytes(message.encode()),
            handle=self._handle(address, True),
            delivery_id=number,
            delivery_tag=b"%d" % number,
        )

    def detach(self, address, condition, receives=False):
        """End a link of the device's."""
        handle = self._handle(address, receives)
        if not receives:
            self.unsettled = []
        self._say(DETACH, handle=handle, closed=True, error=error_of(condition, "by the test"))

    def close_connection(self, condition):
        """End the connection with an error."""
        self._say(CLOSE, error=error_of(condition, "by the test"))

    def settle(self, descriptor=ACCEPTED, **fields):
        """Settle the oldest of the device's messages that are not settled."""
        state, number = Composite(descriptor, **fields), self.unsettled.pop(0)
        self._say(DISPOSITION, role=True, first=number, settled=True, state=state)

    # -- the peer ---------------------------------------------------------------------------

    async def write(self, data):
        await super().write(data)
        self.written[:] = b""
        self._decoder.feed(bytes(data))
        while True:
            if self._decoder.at_header():
                header = self._decoder.take_header()
                if header is None:
                    return
                self.send(header)
                if header == SASL_HEADER:
                    self._say(MECHANISMS, kind=SASL, sasl_server_mechanisms=self.mechanisms)
                continue
            taken = self._decoder.take()
            if taken is None:
                return
            if taken[2] is not None:
                self._on_frame(taken[2], bytes(taken[3]))

    def _say(self, descriptor, payload=b"", kind=0, **fields):
        self.send(bytes(frame(0, Composite(descriptor, **fields), payload, kind=kind)))

    def _handle(self, address, receives):
        for handle, link in self._links.items():
            if link == (address, receives):
                return handle
        raise AssertionError(f"no link to {address}")

    def _on_frame(self, performative, payload):
        kind = performative.descriptor
        if kind == INIT:
            self.heard.append(("sasl", performative.mechanism, performative.initial_response))
            self._say(OUTCOME, kind=SASL, code=0)
        elif kind == OPEN:
            self._say(OPEN, container_id="hub", max_frame_size=65536, idle_time_out=120000)
        elif kind == BEGIN:
            window = 1 << 20
            self._say(
                BEGIN,
                remote_channel=0,
                next_outgoing_id=0,
                incoming_window=window,
                outgoing_window=window,
            )
        elif kind == ATTACH:
            self._on_attach(performative)
        elif kind == DETACH:
            link = self._links.pop(performative.handle, None)
            if link is not None:
                self.heard.append(("detach", link[0]))
                self._say(DETACH, handle=performative.handle, closed=True)
        elif kind == TRANSFER:
            self._on_transfer(performative, payload)
        elif kind == DISPOSITION:
            address = self._delivered[performative.first]
            self.heard.append(("disposition", address, performative.state.descriptor))
        elif kind == CLOSE:
            self.heard.append(("close",))
            self._say(CLOSE)

    def _on_attach(self, attach):
        end = attach.source if attach.role else attach.target
        self.heard.append(("attach", end.address))
        if end.address in self.silent:
            return
        refused = self.refuse.get(end.address)
        known = refused is None
        self._say(
            ATTACH,
            name=attach.name,
            handle=attach.handle,
            role=not attach.role,
            source=Composite(SOURCE, address="s") if known or not attach.role else None,
            target=Composite(TARGET, address="t") if known or attach.role else None,
            initial_delivery_count=0,
        )
        if not known:
            self._say(DETACH, handle=attach.handle, closed=True, error=refused)
            return
        self._links[attach.handle] = end.address, attach.role
        if not attach.role:
            self._say(
                FLOW,
                handle=attach.handle,
                delivery_count=0,
                link_credit=100,
                next_incoming_id=0,
                incoming_window=1 << 20,
                next_outgoing_id=0,
                outgoing_window=1 << 20,
            )

    def _on_transfer(self, transfer, payload):
        first, parts = self._parts.pop(transfer.handle, (transfer, b""))
        parts += payload
        if transfer.more:
            self._parts[transfer.handle] = first, parts
            return
        address = self._links[transfer.handle][0]
        message = decode_message(parts)
        self.heard.append(("message", address, message))
        if not first.settled:
            self.unsettled.append(first.delivery_id)
            outcome = self.outcomes.pop(0) if self.outcomes else ACCEPTED
            if isinstance(outcome, Composite):
                self.settle(outcome.descriptor)
            elif outcome == REJECTED:
                self.settle(REJECTED, error=error("amqp:not-allowed"))
            elif outcome is not None:
                self.settle(outcome)
        if address == "$cbs":
            status = self.statuses.pop(0) if self.statuses else 200
            reply = AmqpMessage(None, 0x77, correlation_id=message.properties.message_id)
            reply.application = {"status-code": status, "status-description": "by the test"}
            self.deliver("$cbs", reply)


def error(condition, description="by the test", **info):
    """An error Composite with which a link is refused."""
    made = Composite(ERROR, condition=condition, description=description)
    if info:
        made.info = info
    return made
