"""One MQTT session without I/O: bytes in, calls to a listener, bytes to send.

It extends umqtt.simple's client, whose `sock` is a memory pipe here. What umqtt writes is
collected in the pipe and leaves as one TLS record; umqtt reads only whole packets, so it can
neither block nor tear. The session adds what umqtt lacks: CONNECT without a password, a window
of QoS 1 messages with packet ids that wrap, lengths in bytes, a bound on what comes in, and
every acknowledgement seen.

A session outlives its connections: what is not acknowledged is sent again, with DUP, by the
next connect(). Source: MQTT 3.1.1 (OASIS), section numbers below; spec iothub-mqtt.
"""

try:
    from umqtt.simple import MQTTClient
except ImportError:
    from .umqtt_cpython import MQTTClient

from ..compat import const, ticks_diff
from ..errors import OperationTimeout, ProtocolError
from ..future import Once
from .framing import Framer, topic_end
from .packets import write_connect, write_publish, write_subscribe

# Packets are written until this much waits to leave; the rest stays where it is, by reference.
_OUT_LIMIT = const(4096)


class Pipe:
    """A socket in memory: umqtt writes to `out`, and reads one packet of `inbox`."""

    def __init__(self):
        self.out = bytearray()
        self.inbox = b""
        self.at = 0

    def write(self, data, size=None):
        self.out.extend(data if size is None else data[:size])

    def read(self, size):
        start = self.at
        self.at = start + size
        return bytes(self.inbox[start : self.at])

    def setblocking(self, value):
        pass

    def close(self):
        pass


class Delivery(Once):
    """A QoS 1 message on its way: in the window from its first sending to its PUBACK.

    Awaited, it is done when it is acknowledged; who gives up waiting withdraws it.
    """

    accepted = 0  # ticks in ms; the owner's
    pid = 0
    dup = False  # sent on an earlier connection

    def __init__(self, session, topic, payload):
        self._session = session
        self.topic = topic
        self.payload = payload

    def given_up(self):
        self._session.withdraw(self)


class Session(MQTTClient):
    """The listener is told, as methods: connack(code, session_present), suback(pid, codes),
    puback(delivery), failed(delivery, error), message(topic, payload, receipt),
    oversized(topic or None, size), pong().
    """

    def __init__(self, listener, client_id, user, keepalive=60, window=16, max_inbound=16384):
        super().__init__(client_id.encode(), None, 1, user.encode(), None, keepalive)
        self.sock = Pipe()
        self.cb = self._parsed
        self._listener = listener
        self._window = window
        self._max_inbound = max_inbound
        self._flight = []  # Deliveries with a packet id, oldest first
        self._waiting = []  # Deliveries beyond the window, oldest first
        self._unsent = 0  # flight[_unsent:] has not been sent on this connection
        self.connection = 0
        self._framer = None
        self._message = None  # (topic, payload) that umqtt has just taken apart
        self._spare = None  # an empty bytearray that has grown already
        self.hold = None  # a takeover.Hold, while another connection may take this one's place

    # -- outgoing ---------------------------------------------------------------------------

    def connect(self, token=None, clean_session=False):  # type: ignore[override]
        """Begin a new connection: write CONNECT (3.1); the answer comes through feed()."""
        self.begin()
        self.sock.out = self.greeting(token, clean_session)

    def begin(self):
        """A new connection: what is not acknowledged goes out again; so does, at QoS 0, what was
        written while the one before was on hold.
        """
        if self.hold is None:
            self.sock.out = bytearray()
        self.hold = None
        self._framer = Framer(self._packet, self._listener.oversized, self._max_inbound)
        self.connection += 1
        for delivery in self._flight[: self._unsent]:
            delivery.dup = True
        self._unsent = 0

    def greeting(self, token=None, clean_session=False):
        """CONNECT (3.1), with `token` (str) for the password; a bytearray."""
        packet = bytearray()
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
        write_connect(packet, flags, self.keepalive, fields)
        return packet

    def subscribe(self, topic, qos=1):
        """Write SUBSCRIBE (3.8) for one filter (str); the packet id that SUBACK will bear."""
        pid = self._next_pid()
        write_subscribe(self.sock.out, pid, topic.encode(), qos)
        return pid

    def publish(self, topic, msg, retain=False, qos=0):
        """Publish `msg` (bytes-like) to `topic` (bytes). At QoS 1 a Delivery, for puback()."""
        if not qos:
            write_publish(self.sock.out, 0x30 | retain, topic, msg)
            return None
        delivery = Delivery(self, topic, msg)
        self._waiting.append(delivery)
        return delivery

    def pump(self):
        """Write what the window and the pipe have room for; True if anything waits to leave."""
        if self.hold is not None:
            return self.hold.pump()
        out = self.sock.out
        flight = self._flight
        while len(out) < _OUT_LIMIT:
            if self._unsent == len(flight):
                if not self._waiting or len(flight) >= self._window:
                    break
                delivery = self._waiting.pop(0)
                delivery.pid = self._next_pid()
                flight.append(delivery)
            delivery = flight[self._unsent]
            self._unsent += 1
            first = 0x3A if delivery.dup else 0x32
            write_publish(out, first, delivery.topic, delivery.payload, delivery.pid)
        return len(out) > 0

    def take(self):
        """What waits to leave, as one bytearray that is the caller's now."""
        if self.hold is not None:
            return self.hold.take()
        out, spare = self.sock.out, self._spare
        self.sock.out, self._spare = bytearray() if spare is None else spare, None
        return out

    def reuse(self, out):
        """What take() gave has been copied on its way: the next packets may have its place."""
        if len(out) < 2 * _OUT_LIMIT:  # or one large message would keep its heap for good
            out[:] = b""
            self._spare = out

    def withdraw(self, delivery):
        """Forget a Delivery; a PUBACK that still comes for it is ignored."""
        if delivery in self._waiting:
            self._waiting.remove(delivery)
        elif delivery in self._flight:
            self._remove(self._flight.index(delivery))

    def expire(self, now, patience):
        """Give up what was accepted more than `patience` ms before `now`."""
        for deliveries in (self._flight, self._waiting):
            while deliveries and ticks_diff(now, deliveries[0].accepted) > patience:
                delivery = deliveries[0]
                self.withdraw(delivery)
                reason = "no acknowledgement within %g s" % (patience / 1000)
                self._listener.failed(delivery, OperationTimeout(reason, "puback"))

    def fail_all(self, error):
        """Give up every Delivery."""
        for delivery in self._flight + self._waiting:
            self.withdraw(delivery)
            self._listener.failed(delivery, error)

    def acknowledge(self, receipt):
        """Write the PUBACK that umqtt made, unless its connection is gone (4.4)."""
        connection, puback = receipt
        if connection == self.connection:
            (self.sock if self.hold is None else self.hold).write(puback)

    @property
    def unacknowledged(self):
        """How many Deliveries wait for a PUBACK, or for room in the window."""
        return len(self._flight) + len(self._waiting)

    def oldest(self):
        """The Delivery that has waited longest for its PUBACK on this connection, or None."""
        return self._flight[0] if self._unsent else None

    def _next_pid(self):
        while True:
            pid = self.pid = self.pid % 65535 + 1
            # An id in use is passed over: its first message may still be sent again (2.3.1).
            for delivery in self._flight:
                if delivery.pid == pid:
                    break
            else:
                return pid

    # -- incoming ---------------------------------------------------------------------------

    def feed(self, data):
        """Take in what arrived (bytes-like). ProtocolError: the peer's bytes are no MQTT."""
        self._framer.feed(data)

    def _packet(self, buffer, start, body, end):
        first, length = buffer[start], end - body
        if first >> 4 == 3:
            self._inbound(buffer, start, body, end)
        elif first == 0x40 and length == 2:
            self._puback(buffer[body] << 8 | buffer[body + 1])
        elif first == 0xD0 and length == 0:
            self._listener.pong()
        elif first == 0x90 and length > 2:
            codes = bytes(buffer[body + 2 : end])
            self._listener.suback(buffer[body] << 8 | buffer[body + 1], codes)
        elif first == 0x20 and length == 2:
            self._listener.connack(buffer[body + 1], bool(buffer[body] & 1))
        else:
            raise ProtocolError("packet type %d of %d bytes" % (first >> 4, length), "read")

    def _puback(self, pid):
        flight = self._flight
        for i in range(self._unsent):  # almost always the first
            if flight[i].pid == pid:
                self._listener.puback(self._remove(i))
                return

    def _remove(self, index):
        if index < self._unsent:
            self._unsent -= 1
        return self._flight.pop(index)

    def _inbound(self, buffer, start, body, end):
        """Let umqtt take a PUBLISH apart, and keep back the PUBACK it writes for later."""
        qos = buffer[start] >> 1 & 3
        payload = topic_end(buffer, body) + 2 * qos
        # Packet id 0 is nobody's (2.3.1): no acknowledgement could bear it.
        if qos > 1 or payload > end or qos and not (buffer[payload - 2] | buffer[payload - 1]):
            raise ProtocolError("a PUBLISH that does not fit its %d bytes" % (end - body), "read")
        pipe = self.sock
        pipe.inbox, pipe.at = buffer, start
        out, pipe.out = pipe.out, bytearray()
        try:
            self.wait_msg()
        finally:
            out, pipe.out = pipe.out, out
            pipe.inbox = b""
        topic, payload = self._message
        self._message = None
        listener = self._listener if self.hold is None or not qos else self.hold
        listener.message(topic, payload, (self.connection, bytes(out)))

    def _parsed(self, topic, payload):
        self._message = topic, payload
