"""One end of an AMQP connection, which a test drives frame by frame.

A test of the hub uses it as a client; ScriptedAmqpServer uses it towards a device.
"""

import asyncio
import ssl

from iothub.amqp.codec import Described, Typed
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
    SOURCE,
    TARGET,
    TRANSFER,
    Composite,
)
from iothub.amqp.frames import AMQP_HEADER, SASL, SASL_HEADER, FrameDecoder, frame
from iothub.amqp.sections import VALUE, AmqpMessage, decode_message

PATIENCE = 20
SELECTOR = "apache.org:selector-filter:string"


class AmqpPeer:
    """One connection; see open_peer()."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer
        self._decoder = FrameDecoder(1 << 20)
        self._handles = 0
        self._deliveries = 0

    # -- bytes ------------------------------------------------------------------------------

    def write(self, data):
        self._writer.write(bytes(data))

    def send(self, composite, payload=b"", channel=0, kind=0):
        self.write(frame(channel, composite, payload, kind=kind))

    async def header(self):
        """The next protocol header; EOFError at the end of the connection."""
        while (header := self._decoder.take_header()) is None:
            self._decoder.feed(await self._read())
        return header

    async def _read(self):
        data = await asyncio.wait_for(self._reader.read(65536), PATIENCE)
        if not data:
            raise EOFError("the connection was closed")
        return data

    async def frame(self):
        """(kind, channel, Composite or None, payload) of the next frame; EOFError at the end."""
        while (taken := self._decoder.take()) is None:
            self._decoder.feed(await self._read())
        return taken

    async def header_or_frame(self):
        """(header, None) or (None, frame()), whichever comes next; EOFError at the end."""
        while True:
            if self._decoder.at_header():
                return await self.header(), None
            if (taken := self._decoder.take()) is not None:
                return None, taken
            self._decoder.feed(await self._read())

    async def expect(self, *descriptors):
        """The next performative, which must have one of the descriptors; flows and heartbeats are
        skipped.
        """
        performative, _ = await self.expect_with_payload(*descriptors)
        return performative

    async def expect_with_payload(self, *descriptors):
        while True:
            _, _, performative, payload = await self.frame()
            if performative is None:
                continue
            if performative.descriptor in descriptors:
                return performative, payload
            assert performative.descriptor == FLOW, performative

    async def closed(self):
        """Read to the end of the connection: the last performative."""
        last = None
        try:
            while True:
                _, _, performative, _ = await self.frame()
                last = performative or last
        except (EOFError, ConnectionError):
            return last

    async def gone(self):
        """Read to the end of the connection, whatever arrives."""
        try:
            while await self._read():
                pass
        except (EOFError, ConnectionError):
            pass

    def abort(self):
        self._writer.transport.abort()

    # -- the protocol -----------------------------------------------------------------------

    async def sasl(self, mechanism, response=None):
        """Choose a SASL mechanism: the outcome's code."""
        self.write(SASL_HEADER)
        assert await self.header() == SASL_HEADER
        offered = await self.expect(MECHANISMS)
        assert mechanism in offered.sasl_server_mechanisms
        self.send(Composite(INIT, mechanism=mechanism, initial_response=response), kind=SASL)
        return (await self.expect(OUTCOME)).code

    async def open(self, **fields):
        """Send the header and open: the hub's open."""
        self.write(AMQP_HEADER)
        fields = {"container_id": "test", "hostname": "localhost", **fields}
        self.send(Composite(OPEN, **fields))
        assert await self.header() == AMQP_HEADER
        return await self.expect(OPEN)

    async def begin(self, channel=0, window=1000):
        begin = Composite(
            BEGIN, next_outgoing_id=0, incoming_window=window, outgoing_window=window
        )
        self.send(begin, channel=channel)
        return await self.expect(BEGIN)

    async def attach(self, address, receiver, **fields):
        """Attach a link: (the hub's attach, handle)."""
        handle, self._handles = self._handles, self._handles + 1
        source = fields.pop("source", address if receiver else "here")
        target = fields.pop("target", "here" if receiver else address)
        attach = Composite(
            ATTACH,
            name=f"link {handle}",
            handle=handle,
            role=receiver,
            source=Composite(SOURCE, address=source, filter=fields.pop("filter", None)),
            target=Composite(TARGET, address=target),
            initial_delivery_count=None if receiver else 0,
            **fields,
        )
        self.send(attach)
        return await self.expect(ATTACH), handle

    def credit(self, handle, credit, count=0, **fields):
        """Grant link credit."""
        self.send(flow(handle, credit, count, **fields))

    async def receiver(self, address, credit=10, **fields):
        _, handle = await self.attach(address, True, **fields)
        self.credit(handle, credit)
        return handle

    async def sender(self, address, **fields):
        _, handle = await self.attach(address, False, **fields)
        return handle

    def transfer(self, handle, payload, more=False, settled=False, **fields):
        """Send a transfer; the delivery's number."""
        number, self._deliveries = self._deliveries, self._deliveries + 1
        self.send(transfer(handle, number, more=more, settled=settled, **fields), payload)
        return number

    async def deliver(self, handle, message):
        """Send an AmqpMessage; its outcome."""
        number = self.transfer(handle, message.encode())
        disposition = await self.expect(DISPOSITION)
        assert disposition.first == number
        assert disposition.settled
        return disposition.state

    async def message(self):
        """(transfer, AmqpMessage) of the next message, of one frame or many."""
        first, data = await self.expect_with_payload(TRANSFER)
        transfer = first
        while transfer.more:
            transfer, payload = await self.expect_with_payload(TRANSFER)
            data += payload
        return first, decode_message(data, exact=True)

    def settle(self, transfer, descriptor=ACCEPTED, settled=True, **fields):
        """Settle a transfer that was received."""
        state = Composite(descriptor, **fields)
        self.send(disposition(transfer.delivery_id, state, settled))

    async def request(self, node, message):
        """Attach both links of a request node, send a request: the answer."""
        await self.receiver(node)
        handle = await self.sender(node)
        self.transfer(handle, message.encode(), settled=True)
        return (await self.message())[1]

    async def put_token(self, token, audience="localhost"):
        """Put a token: the status code of the answer."""
        message = AmqpMessage(token, VALUE, message_id="1", to="$cbs")
        message.application = {
            "operation": "put-token",
            "type": "servicebus.windows.net:sastoken",
            "name": audience,
        }
        answer = await self.request("$cbs", message)
        assert answer.properties.correlation_id == "1"
        return answer.application["status-code"].value


def flow(handle, credit, count=0, **fields):
    """A link's flow, with wide session windows."""
    return Composite(
        FLOW,
        next_incoming_id=0,
        incoming_window=10000,
        next_outgoing_id=0,
        outgoing_window=10000,
        handle=handle,
        delivery_count=count,
        link_credit=credit,
        **fields,
    )


def transfer(handle, number, **fields):
    """A transfer, whose tag is its number."""
    return Composite(
        TRANSFER,
        handle=handle,
        delivery_id=number,
        delivery_tag=number.to_bytes(4, "big"),
        message_format=0,
        **fields,
    )


def disposition(number, state=None, settled=True):
    """A receiver's disposition of one delivery; accepted by default."""
    state = state or Composite(ACCEPTED)
    return Composite(DISPOSITION, role=True, first=number, settled=settled, state=state)


def selector(text):
    """A filter for a source."""
    return {SELECTOR: Described(Typed("symbol", SELECTOR), text)}


async def open_peer(port, ca_file=None):
    """An AmqpPeer that is connected, and has sent nothing."""
    tls = ssl.create_default_context(cafile=ca_file) if ca_file else None
    opened = asyncio.open_connection("localhost", port, ssl=tls)
    return AmqpPeer(*await asyncio.wait_for(opened, PATIENCE))
