"""IoTHubServiceClient: the service's side of IoT Hub over AMQP, on a board or on a host.

Messages to devices, what became of them, and the events of all devices. Source: spec
iothub-amqp, "Service links".
"""

import json

from iothub import sas
from iothub.amqp.composites import PROPERTIES, Composite
from iothub.amqp.convert import message_to
from iothub.amqp.links import Delivery
from iothub.amqp.pending import Pending
from iothub.amqp.sections import decode_message
from iothub.credentials import parse_connection_string, split_host
from iothub.messages import Message
from iothub.options import checked
from iothub.quoting import quote

from .connection import Channel, Inbox, Part

_MAX_INBOUND = 320 * 1024  # an event of 256 KB, with its properties
_ACKS = ("none", "positive", "negative", "full")


class IoTHubServiceClient:
    """Make one with create_from_connection_string(); close() it when done.

    on_background_exception: a function that is told of lost connections and the like. Options are
    those of the device clients, as far as they make sense; max_inbound has room for any event.
    """

    def __init__(self, hostname, policy_name, key, **options):
        self._hostname, port = split_host(hostname, None)
        sas.decode_key(key)
        self._policy, self._key = policy_name, key
        self._options = checked(dict({"max_inbound": _MAX_INBOUND}, **options))
        self.on_background_exception = None
        self._hub = self._channel(self._hostname, port, self._sign)
        self._sender = None
        self._events = None  # the Channel to the event hub, and its address

    @classmethod
    def create_from_connection_string(cls, connection_string, **options):
        """A client of `HostName=…;SharedAccessKeyName=…;SharedAccessKey=…`; HostName may carry
        the AMQP port of a local hub. ValueError names what is wrong.
        """
        values = parse_connection_string(connection_string)
        for name in ("HostName", "SharedAccessKeyName", "SharedAccessKey"):
            if name not in values:
                raise ValueError("connection string: %s is missing" % name)
        return cls(
            values["HostName"], values["SharedAccessKeyName"], values["SharedAccessKey"], **options
        )

    def __repr__(self):
        return "<IoTHubServiceClient of %s as %s>" % (self._hostname, self._policy)

    def _channel(self, host, port, signer):
        name = "service-%s" % self._policy
        return Channel(self._options, host, port, host, name, signer, self._problem)

    def _problem(self, error):
        if self.on_background_exception is None:
            print("iothub: %s: %s" % (type(error).__name__, error))
        else:
            self.on_background_exception(error)

    def _sign(self, expiry):
        token = sas.sas_token(self._hostname, self._key, expiry, self._policy)
        return token, self._hostname, self._user()

    def _user(self):
        return "%s@sas.root.%s" % (self._policy, self._hostname.split(".")[0])

    async def connect(self):
        """Connect now, rather than with the first operation."""
        await self._hub.ready()

    async def close(self):
        """Close all connections; iterations end with OperationCancelled."""
        await self._hub.close()
        if self._events is not None:
            await self._events.close()

    # -- messages ---------------------------------------------------------------------------

    async def send_c2d_message(self, device_id, message, ack=None, module_id=None):
        """Send a Message (or str, or bytes) to a device; returns once the hub has queued it.

        ack: none, positive, negative or full, for feedback. ServiceError: not queued, its code
        says why (amqp:not-found, amqp:resource-limit-exceeded). Through a lost connection it is
        sent again; OperationTimeout at disposition.
        """
        if ack is not None and ack not in _ACKS:
            raise ValueError("ack is none, positive, negative or full")
        if not isinstance(message, Message):
            message = Message(message)
        to = "/devices/" + quote(device_id)
        if module_id:
            to += "/modules/" + quote(module_id)
        amqp = _addressed(message, to + "/messages/devicebound", ack)
        if self._sender is None:
            self._sender = _Sender(self._options)
            try:
                await self._hub.add(self._sender)
            except BaseException:
                self._sender = None
                raise
        else:
            await self._hub.ready()
        await self._sender.pending.deliver(self._hub.wire, Delivery(*amqp.parts_to_send()))

    async def feedback(self):
        """An asynchronous iterator of what became of messages: dicts with originalMessageId,
        deviceId, deviceGenerationId, statusCode, description, enqueuedTimeUtc.

        A record is settled when the next one is asked for: one that was not worked on comes again.
        """
        part = _Feedback()
        await self._hub.add(part)
        return part

    async def events(self, partition=None, **start):
        """An asynchronous iterator of the devices' events; see iothub_service.events."""
        from .events import Events, find

        if self._events is None:
            self._events = await find(self._hub, self._key, self._policy, self._channel)
        part = Events(self._events, partition, **start)
        await part.begin()
        return part


def _addressed(message, to, ack):
    amqp = message_to(message)
    if amqp.properties is None:
        amqp.properties = Composite(PROPERTIES)
    amqp.properties.to = to
    if ack is not None:
        amqp.application = dict(amqp.application)
        amqp.application["iothub-ack"] = ack
    return amqp


class _Sender(Part):
    """/messages/devicebound: what is not settled is sent again on the next connection."""

    def __init__(self, options):
        self.pending = Pending(options["operation_timeout"])
        self.detached = self.pending.fail
        self.oldest = self.pending.oldest
        self.settled = self.pending.settled

    def attach(self, wire):
        self.link, answer = wire.begin_sender("/messages/devicebound")
        self.link.about = self
        self.pending.attach(self.link)
        return [answer]


class _Feedback(Inbox):
    """/messages/serviceBound/feedback: batches of records, given one by one."""

    def __init__(self):
        super().__init__()
        self._open = None  # (receiver, number, records left) of the batch being given

    def attach(self, wire):
        self._wire = wire
        self._items = []  # an unsettled batch comes again
        self.link, answer = wire.begin_receiver("/messages/serviceBound/feedback", None, None, 5)
        self.link.about = self
        return [answer]

    def received(self, receiver, number, payload):
        self.put((receiver, number, json.loads(decode_message(payload).body)))

    def oversized(self, receiver, number, error):
        self.detached(error)  # not settled, so that none of its records is lost

    async def __anext__(self):
        while True:
            if self._open is not None and self._open[2]:
                return self._open[2].pop(0)
            self._settle()
            self._open = await super().__anext__()

    def _settle(self):
        if self._open is not None:
            receiver, number, _ = self._open
            if receiver is self.link:
                self._wire.done(receiver, number)
            self._open = None
