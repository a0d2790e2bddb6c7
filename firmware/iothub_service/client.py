"""IoTHubServiceClient: the service's side of IoT Hub over AMQP, on a board or on a host.

Messages to devices, feedback on them, and the events of all devices. Contract:
docs/protocol/amqp.md, Service links.
"""

import json

from iothub import sas
from iothub.amqp.composites import ACCEPTED, PROPERTIES, REJECTED, Composite
from iothub.amqp.convert import message_to
from iothub.amqp.links import refusal
from iothub.amqp.sections import decode_message
from iothub.compat import quote, ticks_ms
from iothub.credentials import split_host
from iothub.dispatcher import Dispatcher
from iothub.errors import OperationCancelled
from iothub.messages import Message
from iothub.options import checked, parse_connection_string
from iothub.pending import Pending

from .connection import Endpoint, Inbox, ServiceConnection

_MAX_UNSETTLED = 256  # messages on their way at once
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
        self._dispatcher = Dispatcher(self._options)
        self._hub = self._connect_to((self._hostname, port), self._sign)
        self._sender = None
        self._event_hub = None  # events.EventHub, once events were asked for

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

    @property
    def on_background_exception(self):
        return self._dispatcher.handlers.get("on_background_exception")

    @on_background_exception.setter
    def on_background_exception(self, handler):
        self._dispatcher.handlers["on_background_exception"] = handler

    def _connect_to(self, place, sign):
        name = "service-%s" % self._policy
        return ServiceConnection(self._options, place, name, sign, self._dispatcher)

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
        await self._hub.shutdown()
        if self._event_hub is not None:
            await self._event_hub.connection.shutdown()

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
        sender = self._sender
        if sender is None or sender.ended is not None:
            sender = self._sender = _Sender(self._options)
            try:
                await self._hub.add(sender)
            except Exception as error:
                sender.detached(error)
                raise
            except BaseException:
                sender.detached(OperationCancelled("the link was given up", "attach"))
                raise
        else:
            await self._hub.ready()
        await sender.send(amqp)

    async def feedback(self):
        """An asynchronous iterator of what became of messages: dicts with originalMessageId,
        deviceId, deviceGenerationId, statusCode, description, enqueuedTimeUtc.

        A record is settled when the next one is asked for: one that was not worked on comes again.
        """
        endpoint = _Feedback()
        await self._hub.add(endpoint)
        return endpoint

    async def events(self, partition=None, **start):
        """An asynchronous iterator of the devices' events; see iothub_service.events."""
        from .events import Events, find

        if self._event_hub is None:
            self._event_hub = await find(self._hub, self._key, self._policy, self._connect_to)
        events = Events(self._event_hub, partition, **start)
        await events.begin()
        return events


def _addressed(message, to, ack):
    amqp = message_to(message)
    if amqp.properties is None:
        amqp.properties = Composite(PROPERTIES)
    amqp.properties.to = to
    if ack is not None:
        amqp.application = dict(amqp.application)
        amqp.application["iothub-ack"] = ack
    return amqp


class _Sender(Endpoint):
    """/messages/devicebound: what is not settled is sent again on the next connection."""

    ended = None  # the error with which it was detached for good

    def __init__(self, options):
        self._pending = Pending(options["operation_timeout"] * 1000, _MAX_UNSETTLED, "disposition")

    def attach(self, connection):
        self.connection = connection
        address = "/messages/devicebound"
        self.link = connection.protocol.sender(self, address, None, self._pending)
        return [self.link]

    async def send(self, amqp):
        """Send an AmqpMessage; returns once it is settled. ServiceError: it is refused."""
        if self.ended is not None:
            raise self.ended
        delivery = self._pending.add(*(amqp.parts_to_send() + (ticks_ms(),)))
        self.connection.protocol.output.set()
        await delivery  # oldest() gives it up after its time

    def oldest(self, now):
        self._pending.expire(now)
        return self._pending.oldest(unsent=True)

    def detached(self, error):
        self.ended = error
        self._pending.fail(error)

    def on_settled(self, delivery, state):
        outcome = getattr(state, "descriptor", None)
        if outcome == ACCEPTED:
            self._pending.settle(delivery)
        elif outcome == REJECTED:
            self._pending.settle(delivery, refusal(state.error, "disposition"))
        else:
            self._pending.send_again(delivery)  # released, or modified: not taken yet


class _Feedback(Inbox):
    """/messages/serviceBound/feedback: batches of records, given one by one."""

    def __init__(self):
        super().__init__()
        self._batch = None  # (receiver, number, records left) of the batch being given

    def attach(self, connection):
        self.connection = connection
        self._items = []  # an unsettled batch comes again
        address = "/messages/serviceBound/feedback"
        self.link = connection.protocol.receiver(self, address, None, None, 5)
        return [self.link]

    def on_message(self, receiver, number, payload):
        self.put((receiver, number, json.loads(decode_message(payload).body)))

    def on_oversized(self, receiver, number, size, head):
        # It is not settled, so that none of its records is lost.
        self.detached(self.connection.oversized(size))

    async def __anext__(self):
        while True:
            if self._batch is not None and self._batch[2]:
                return self._batch[2].pop(0)
            self._settle()
            self._batch = await super().__anext__()

    def _settle(self):
        if self._batch is not None:
            receiver, number, _ = self._batch
            if receiver is self.link:
                receiver.settle(number)
                receiver.grant()
            self._batch = None
