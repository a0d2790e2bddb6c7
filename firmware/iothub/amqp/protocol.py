"""AMQP 1.0 without I/O: a connection with one session and its links. Bytes in, bytes out.

feed() takes what has come, take() gives what is to leave. Links tell their owners what comes on
them (see links). Source: AMQP 1.0, parts 2 and 5.
"""

from ..compat import AutoResetEvent, Future
from ..errors import ConnectionDroppedError, CredentialError, ProtocolError
from ..pending import fail_all
from .codec import DecodeError
from .composites import (
    ATTACH,
    BEGIN,
    CLOSE,
    DETACH,
    DISPOSITION,
    END,
    FLOW,
    INIT,
    MECHANISMS,
    OPEN,
    OUTCOME,
    TRANSFER,
    Composite,
)
from .frames import AMQP_HEADER, HEARTBEAT, SASL, SASL_HEADER, FrameDecoder, frame
from .links import Receiver, Sender, refusal

_WINDOW = 0x7FFFFFFF  # links' credit bounds what comes, so the session's window need not
_ENOUGH = 4096  # bytes gathered before they are written: what is in memory twice
_MAX_HANDLE = 255
_START, _SASL, _HEADER, _OPEN = range(4)


class AMQPProtocol:
    """One connection. idle: the ms of silence after which this side gives up.

    accepted: a Future, set once the peer has opened the connection and its session.
    """

    stage = "open"  # of what `accepted` waits for

    def __init__(self, container_id, hostname, idle, max_frame, max_inbound):
        self.output = AutoResetEvent()  # there may be something to take()
        self.accepted = Future()
        self.requests = {}  # what the owner waits for, on this connection: {key: Future}
        self.max_inbound = max_inbound
        self.window = 0  # transfers that the peer takes
        self.max_frame = 512
        self.remote_idle = None  # milliseconds of silence after which the peer gives up
        self._identity = container_id, hostname, idle
        self._max_frame = max_frame
        self._links = {}  # handle: Sender or Receiver
        self._remote = {}  # the peer's handle: Link
        self._handle = 0
        self._state = _START
        self._sasl = None
        self._decoder = FrameDecoder(max_frame)
        self._incoming = 0  # the next transfer's number, of each side
        self._outgoing = 0
        self._number = 0  # the next delivery's
        self._out = bytearray()

    # -- bytes ------------------------------------------------------------------------------

    def send(self, performative):
        self._out.extend(frame(0, performative))
        self.output.set()

    def take(self):
        """What is to be sent; the caller has to send it."""
        out, self._out = self._out, bytearray()
        return out

    def pump(self):
        """Gather what may leave; whether there is something to take()."""
        if self._state == _OPEN:
            for link in list(self._links.values()):
                while link.role is False and len(self._out) < _ENOUGH and link.write():
                    pass
        return bool(self._out)

    def reuse(self, out):
        """Nothing: frames are gathered anew."""

    def feed(self, data):
        """Take in bytes from the peer. ProtocolError."""
        self._decoder.feed(data)
        try:
            while self._step():
                pass
        except DecodeError as error:
            raise ProtocolError(str(error), "read")

    def _step(self):
        if self._state in (_START, _HEADER):
            header = self._decoder.take_header()
            if header is not None:
                self._header(header)
            return header is not None
        taken = self._decoder.take()
        if taken is None:
            return False
        kind, _, performative, payload = taken
        if performative is not None:
            sasl = self._state == _SASL
            if (kind == SASL) != sasl or (performative.descriptor >= MECHANISMS) != sasl:
                raise ProtocolError("a frame of the wrong kind", "read")
            self._HANDLERS.get(performative.descriptor, _unexpected)(self, performative, payload)
        return True

    def heartbeat(self):
        self._out.extend(HEARTBEAT)
        self.output.set()

    def fail(self, error):
        """The connection has ended: so have its links and requests."""
        if not self.accepted.done():
            self.accepted.set_exception(error)
        for handle in self._links:
            self._links[handle].fail(error)
        fail_all(self.requests, error)

    # -- opening ----------------------------------------------------------------------------

    def start(self, mechanism=None, response=None):
        """Begin the connection: with SASL, by this mechanism, or without."""
        self._sasl = mechanism and (mechanism, response)
        if mechanism:
            self._out.extend(SASL_HEADER)
        else:
            self._begin()

    def _begin(self):
        self._state = _HEADER
        self._sasl = None
        container_id, hostname, idle = self._identity
        self._out.extend(AMQP_HEADER)
        self.send(
            Composite(
                OPEN,
                container_id=container_id,
                hostname=hostname,
                max_frame_size=self._max_frame,
                channel_max=0,
                idle_time_out=idle,
            )
        )
        self.send(
            Composite(
                BEGIN,
                next_outgoing_id=0,
                incoming_window=_WINDOW,
                outgoing_window=_WINDOW,
                handle_max=_MAX_HANDLE,
            )
        )

    def _header(self, header):
        if header != (SASL_HEADER if self._sasl else AMQP_HEADER):
            raise ProtocolError("the peer speaks another protocol", "read")
        self._state = _SASL if self._sasl else _OPEN

    def _on_mechanisms(self, offered, _):
        mechanism, response = self._sasl
        names = offered.sasl_server_mechanisms
        if mechanism != names and mechanism not in names:
            raise CredentialError("the hub does not offer SASL " + mechanism, "sasl", 401)
        hostname = self._identity[1]
        init = Composite(INIT, mechanism=mechanism, initial_response=response, hostname=hostname)
        self._out.extend(frame(0, init, kind=SASL))

    def _on_outcome(self, outcome, _):
        if outcome.code:
            reason = "the hub does not accept this token (SASL %d)" % outcome.code
            raise CredentialError(reason, "sasl", 401)
        self._begin()

    def _on_open(self, opened, _):
        # What the peer takes may be more than this side wants to have in memory at once.
        self.max_frame = min(opened.max_frame_size or 65536, max(512, self._max_frame))
        self.remote_idle = opened.idle_time_out

    def _on_begin(self, begin, _):
        self.window = begin.incoming_window
        self._incoming = begin.next_outgoing_id
        self.accepted.set_result()

    # -- links ------------------------------------------------------------------------------

    def sender(self, owner, address, properties=None, pending=None):
        """Attach a Sender."""
        handle = self._handle
        return self._attach(Sender(self, handle, address, owner, properties, pending=pending))

    def receiver(self, owner, address, properties=None, filter=None, credit=10):
        """Attach a Receiver."""
        handle = self._handle
        return self._attach(Receiver(self, handle, address, owner, properties, filter, credit))

    def _attach(self, link):
        self._handle += 1
        self._links[link.handle] = link
        link.attach()
        return link

    def _on_attach(self, attach, _):
        for link in self._links.values():
            # The name begins with the handle, so that it is this link's alone.
            if attach.name == "%d%s" % (link.handle, link.address):
                break
        else:
            raise ProtocolError("an attach that nobody asked for", "attach")
        if attach.handle > _MAX_HANDLE:
            raise ProtocolError("a handle beyond handle-max", "attach")
        self._remote[attach.handle] = link
        if (attach.source if link.role else attach.target) is None:
            return  # refused: a detach follows, and says why
        link.on_attach(attach)

    def _on_detach(self, detach, _):
        link = self._remote.pop(detach.handle, None)
        if link is not None and self._links.pop(link.handle, None) is not None:
            link.on_detach(detach.error)

    # -- what flows -------------------------------------------------------------------------

    def number(self):
        """The next delivery's number."""
        number, self._number = self._number, (self._number + 1) & 0xFFFFFFFF
        return number

    def transfer(self, transfer, *payload):
        """Write a transfer, which uses up a place in the window."""
        self._out.extend(frame(0, transfer, *payload))
        self.window -= 1
        self._outgoing = (self._outgoing + 1) & 0xFFFFFFFF

    def flow(self, **of_link):
        """Write a flow."""
        self.send(
            Composite(
                FLOW,
                next_incoming_id=self._incoming,
                incoming_window=_WINDOW,
                next_outgoing_id=self._outgoing,
                outgoing_window=_WINDOW,
                **of_link,
            )
        )

    def _on_flow(self, flow, _):
        if flow.next_incoming_id is None:
            self.window = flow.incoming_window
        else:
            self.window = max(0, flow.next_incoming_id + flow.incoming_window - self._outgoing)
        link = self._remote.get(flow.handle)
        if link is not None and not link.role:
            link.flow(flow)
        if flow.echo:
            self.flow()

    def _on_transfer(self, transfer, payload):
        self._incoming = (self._incoming + 1) & 0xFFFFFFFF
        link = self._remote.get(transfer.handle)
        if link is None or not link.role:
            raise ProtocolError("a transfer on no link", "read")
        link.transfer(transfer, payload)

    def _on_disposition(self, disposition, _):
        if not disposition.role:
            return  # the peer settles what it sent, which is settled here already
        first = disposition.first
        last = first if disposition.last is None else disposition.last
        for link in list(self._links.values()):
            if not link.role:
                link.settle(first, last, disposition.state)

    # -- the end ----------------------------------------------------------------------------

    def goodbye(self):
        """Write a close."""
        self.send(Composite(CLOSE))

    def _on_end(self, end, _):
        if end.error is None:
            raise ConnectionDroppedError("the hub closed the connection", "read")
        raise refusal(end.error, "close")

    _HANDLERS = {
        MECHANISMS: _on_mechanisms,
        OUTCOME: _on_outcome,
        OPEN: _on_open,
        BEGIN: _on_begin,
        ATTACH: _on_attach,
        DETACH: _on_detach,
        FLOW: _on_flow,
        TRANSFER: _on_transfer,
        DISPOSITION: _on_disposition,
        END: _on_end,
        CLOSE: _on_end,
    }


def _unexpected(session, performative, _):
    raise ProtocolError("%s is out of place" % performative, "read")
