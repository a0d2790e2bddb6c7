"""The MQTT 3.1.1 protocol of one connection, without I/O: bytes in, bytes out.

It extends umqtt.simple's client, whose `sock` is this object: what umqtt writes is collected and
leaves as one TLS record, and umqtt reads only whole packets, so that it can neither block nor
tear. umqtt takes an incoming PUBLISH apart and writes PUBACK, PINGREQ and DISCONNECT. This class
adds CONNECT without a password, a window of QoS 1 messages with packet ids that wrap, lengths in
bytes, a bound on what comes in, and acknowledgements that are all seen.

Numbers in comments are sections of MQTT 3.1.1 (OASIS).
"""

try:
    from umqtt.simple import MQTTClient
except ImportError:
    from .umqtt_cpython import MQTTClient

from ..compat import AutoResetEvent, Future, const
from ..errors import ProtocolError
from ..pending import answer, fail_all
from .packets import Framer, topic_end, write_connect, write_publish, write_subscribe

# Packets are written until this much waits to leave; the rest stays where it is, by reference.
_OUT_LIMIT = const(4096)


class MQTTProtocol(MQTTClient):
    """client_id, user: str. pending: the Pending whose messages it sends at QoS 1.

    events: told of on_publish(topic, payload, receipt), where acknowledge(receipt) is due once
    the message has been dealt with, of on_oversized(topic or None, size), and of
    on_no_room(first byte).
    """

    stage = "connack"  # of what `accepted` waits for

    def __init__(self, events, pending, client_id, user, keep_alive=60, max_inbound=16384):
        super().__init__(client_id.encode(), None, 1, user.encode(), None, keep_alive)
        self.sock = self
        self.cb = self._on_umqtt_message
        self.output = AutoResetEvent()  # there may be something to take()
        self.accepted = Future()  # session present, or the refusal
        self._events = events
        self._pending = pending
        self._framer = Framer(self._on_packet, events, max_inbound)
        self._out = bytearray()
        self._spare = None  # an empty bytearray that has grown already
        self._in = b""  # the packet that umqtt reads, and how far it is
        self._at = 0
        self._message = None  # (topic, payload) that umqtt has just taken apart
        self.requests = {}  # packet id of a SUBSCRIBE, or a key of the owner's: Future
        self.paused = None  # in a handover: a list of the QoS 1 messages that came meanwhile

    # -- umqtt's socket ---------------------------------------------------------------------

    def write(self, data, size=None):
        self._out.extend(data if size is None else data[:size])

    def read(self, size):
        start = self._at
        self._at = start + size
        return bytes(self._in[start : self._at])

    def close(self, _value=None):
        """Nothing: there is no socket."""

    setblocking = close

    # -- outgoing ---------------------------------------------------------------------------

    def connect(self, token=None, clean_session=False):  # type: ignore[override]
        """Write CONNECT (3.1), with `token` (str) for the password."""
        flags = clean_session << 1
        fields = [self.client_id]
        if self.lw_topic:
            flags |= 4 | self.lw_qos << 3 | self.lw_retain << 5
            fields += [self.lw_topic, self.lw_msg]
        flags |= 0x80
        fields.append(self.user)
        if token is not None:
            flags |= 0x40
            fields.append(token.encode())
        write_connect(self._out, flags, self.keepalive, fields)

    def subscribe(self, topic, qos=1):
        """Write SUBSCRIBE (3.8) for one filter (str): a Future for SUBACK's return code (3.9)."""
        pid = self._next_pid()
        write_subscribe(self._out, pid, topic.encode(), qos)
        self.output.set()
        suback = self.requests[pid] = Future()
        return suback

    def publish(self, topic, msg, retain=False, qos=0):
        """Write a PUBLISH at QoS 0, whatever `qos`: `msg` (bytes-like) to `topic` (bytes)."""
        write_publish(self._out, 0x30 | bool(retain), topic, msg)
        self.output.set()

    def fail(self, error):
        """The connection has ended: so have its requests."""
        if not self.accepted.done():
            self.accepted.set_exception(error)
        self._pending.restart()
        fail_all(self.requests, error)

    def pump(self):
        """Write what the window and the buffer have room for; whether there is something."""
        out = self._out
        while self.paused is None and len(out) < _OUT_LIMIT:
            delivery = self._pending.next()
            if delivery is None:
                break
            first = 0x32
            if delivery.number:
                first = 0x3A  # DUP: it was sent on an earlier connection
            else:
                delivery.number = self._next_pid()
            write_publish(out, first, delivery.head, delivery.body, delivery.number)
        return len(out) > 0

    def take(self):
        """What waits to leave, as one bytearray that is the caller's now."""
        out, spare = self._out, self._spare
        self._out, self._spare = bytearray() if spare is None else spare, None
        return out

    def reuse(self, out):
        """What take() gave has been copied on its way: the next packets may use it."""
        if len(out) < 2 * _OUT_LIMIT:  # or one large message would keep its heap for good
            out[:] = b""
            self._spare = out

    goodbye = MQTTClient.disconnect  # DISCONNECT (3.14)

    def acknowledge(self, puback):
        """Send the PUBACK that came as a message's receipt."""
        self.write(puback)
        self.output.set()

    def _next_pid(self):
        while True:
            pid = self.pid = self.pid % 65535 + 1
            # An id in use is passed over: its first message may still be sent again (2.3.1).
            if not self._pending.uses(pid) and pid not in self.requests:
                return pid

    # -- incoming ---------------------------------------------------------------------------

    def feed(self, data):
        """Take in what arrived (bytes-like). ProtocolError: the peer's bytes are no MQTT."""
        self._framer.feed(data)

    def _on_packet(self, buffer, start, body, end):
        first, length = buffer[start], end - body
        if first >> 4 == 3:
            self._on_publish(buffer, start, body, end)
        elif first == 0x40 and length == 2:
            self._pending.acknowledge(buffer[body] << 8 | buffer[body + 1])
        elif first == 0xD0 and length == 0:
            pass  # PINGRESP: any byte proves the hub alive
        elif first == 0x90 and length > 2:
            answer(self.requests, buffer[body] << 8 | buffer[body + 1], buffer[body + 2])
        elif first == 0x20 and length == 2:
            if self.accepted.done():
                raise ProtocolError("a second CONNACK", "connack")
            code = buffer[body + 1]
            if code:
                from .refusals import refusal

                self.accepted.set_exception(refusal(code))
            else:
                self.accepted.set_result(bool(buffer[body] & 1))  # session present
        else:
            raise ProtocolError("packet type %d of %d bytes" % (first >> 4, length), "read")

    def _on_publish(self, buffer, start, body, end):
        """Let umqtt take a PUBLISH apart, and keep back the PUBACK that it writes."""
        qos = buffer[start] >> 1 & 3
        payload = topic_end(buffer, body) + 2 * qos
        # Packet id 0 is not allowed (2.3.1): no acknowledgement could bear it.
        if qos > 1 or payload > end or qos and not (buffer[payload - 2] | buffer[payload - 1]):
            raise ProtocolError("a PUBLISH that does not fit its %d bytes" % (end - body), "read")
        self._in, self._at = buffer, start
        out, self._out = self._out, bytearray()
        try:
            self.wait_msg()
        finally:
            out, self._out = self._out, out
            self._in = b""
        topic, payload = self._message
        self._message = None
        message = topic, payload, (self, bytes(out))
        if qos and self.paused is not None:
            self.paused.append(message)
        else:
            self._events.on_publish(*message)

    def _on_umqtt_message(self, topic, payload):
        self._message = topic, payload
