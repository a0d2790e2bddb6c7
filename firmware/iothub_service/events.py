"""The devices' events: found by the hub's redirect, read from all partitions at once.

Contract: docs/protocol/eventhubs.md; docs/protocol/amqp.md, Service links.
"""

from binascii import b2a_base64

from iothub.amqp.codec import Described, Typed
from iothub.amqp.convert import message_from
from iothub.amqp.sections import VALUE, AmqpMessage, decode_message
from iothub.compat import Future, wait_for
from iothub.errors import ProtocolError, RefusedError, ServiceError
from iothub.pending import Delivery, answer
from iothub.sas import sas_token

from .connection import Endpoint, Inbox

_SELECTOR = "apache.org:selector-filter:string"
_CREDIT = 32
_REDIRECT = "/messages/events/ConsumerGroups/$Default/Partitions/0"


class EventHub:
    """The hub's event hub: a ServiceConnection, and the entity's name."""

    def __init__(self, connection, entity):
        self.connection = connection
        self.entity = entity


async def find(hub, key, policy, connect_to):
    """The EventHub to which the hub redirects readers.

    connect_to(place, sign): makes a ServiceConnection.
    """
    probe = _Probe()
    try:
        await hub.add(probe)
    except RefusedError as error:
        if error.code != "amqp:link:redirect" or not error.info:
            raise
        info = error.info
    else:
        raise ProtocolError("the hub does not say where its events are", "attach")
    host, port, address = info["network-host"], info["port"], info["address"]
    # amqps://host:port/entity/ConsumerGroups/…: the token is for the entity.
    entity = address.split("://")[-1].split("/")[1]
    audience = "sb://%s/%s" % (info["hostname"], entity)

    def sign(expiry):
        # Event hubs sign with the key's text itself, not with what it encodes.
        token = sas_token(audience, b2a_base64(key.encode())[:-1], expiry, policy)
        return token, audience, "%s@sas.root.%s" % (policy, host.split(".")[0])

    return EventHub(connect_to((host, port), sign), entity)


class _Probe(Endpoint):
    def attach(self, connection):
        self.connection = connection
        self.link = connection.protocol.receiver(self, _REDIRECT)
        return [self.link]


class _Management(Endpoint):
    """$management: one request after the other."""

    def __init__(self, entity):
        self._entity = entity
        self._sender = None

    def attach(self, connection):
        self.connection = connection
        self._sender = connection.protocol.sender(self, "$management")
        self.link = connection.protocol.receiver(self, "$management")
        return [self._sender, self.link]

    async def read(self, **fields):
        """The answer's map to a READ. ServiceError: the status is not 200."""
        message = AmqpMessage(None, VALUE, message_id="read", reply_to="management")
        message.application = dict(fields, operation="READ", name=self._entity)
        asked = self.connection.protocol.requests["read"] = Future()
        request = Delivery(message.encode(), b"")
        request.presettled = True
        self._sender.send(request)
        status, body = await wait_for(asked, self.connection.timeout, "management")
        if status != 200:
            raise ServiceError("the event hub refuses to tell", "management", status)
        return body

    def on_message(self, receiver, number, payload):
        receiver.settle(number)
        receiver.grant()
        message = decode_message(payload)
        found = message.application.get("status-code"), message.body
        answer(self.connection.protocol.requests, "read", found)

    def close(self):
        super().close()
        self._sender.detach()


class Events(Inbox):
    """`async for event in await client.events(…)`: Messages, with partition, sequence_number,
    offset, enqueued_time (ms since 1970), device_id and annotations.

    partition: one of them, or None for all. Where to start, one of: sequence_number, offset,
    enqueued_time (ms), each exclusive unless inclusive=True; beginning=True; by default only
    what is new. A connection that is lost is made again, and each partition read on from its last
    sequence number: nothing is lost, nothing comes twice.
    """

    def __init__(
        self,
        event_hub,
        partition=None,
        sequence_number=None,
        offset=None,
        enqueued_time=None,
        inclusive=False,
        beginning=False,
        consumer_group="$Default",
    ):
        super().__init__()
        self._event_hub = event_hub
        self._partition = None if partition is None else str(partition)
        self._group = consumer_group
        sign = ">=" if inclusive else ">"
        given = [
            (name, value)
            for name, value in (
                ("sequence-number", sequence_number),
                ("offset", offset),
                ("enqueued-time", enqueued_time),
            )
            if value is not None
        ]
        if len(given) + beginning > 1:
            raise ValueError("give one of sequence_number, offset, enqueued_time, beginning")
        self._filter = None
        if given:
            name, value = given[0]
            self._filter = "amqp.annotation.x-opt-%s %s '%d'" % (name, sign, int(value))
        elif beginning:
            self._filter = "amqp.annotation.x-opt-offset > '-1'"
        self._partitions = []

    async def begin(self):
        """Find the partitions, and attach to them."""
        connection, entity = self._event_hub.connection, self._event_hub.entity
        management = _Management(entity)
        await connection.add(management)
        try:
            names = [self._partition]
            if self._partition is None:
                hub = await management.read(type="com.microsoft:eventhub")
                names = hub["partition_ids"]
            for name in names:
                start = self._filter
                if start is None:  # by number, so that a reconnect knows where "new" began
                    state = await management.read(type="com.microsoft:partition", partition=name)
                    start = _after(state["last_enqueued_sequence_number"])
                address = "%s/ConsumerGroups/%s/Partitions/%s" % (entity, self._group, name)
                self._partitions.append(_Partition(self, name, address, start))
        finally:
            connection.remove(management)
        for partition in self._partitions:
            await connection.add(partition)

    def attach(self, connection):
        return []

    async def __anext__(self):
        partition, event = await super().__anext__()
        partition.taken()
        return event

    async def close(self):
        """Stop reading."""
        for partition in self._partitions:
            self._event_hub.connection.remove(partition)


def _after(sequence_number):
    return "amqp.annotation.x-opt-sequence-number > '%d'" % sequence_number


class _Partition(Endpoint):
    """One partition's link; it knows how far it has come."""

    def __init__(self, events, name, address, start):
        self._events = events
        self._name = name
        self._address = address
        self._filter = start

    def attach(self, connection):
        self.connection = connection
        selector = {_SELECTOR: Described(Typed("symbol", _SELECTOR), self._filter)}
        self.link = connection.protocol.receiver(self, self._address, None, selector, _CREDIT)
        return [self.link]

    def detached(self, error):
        self._events.detached(error)

    def on_message(self, receiver, number, payload):
        receiver.settle(number)
        event = message_from(decode_message(payload))
        annotations = event.annotations
        event.partition = self._name
        event.sequence_number = annotations["x-opt-sequence-number"]
        event.offset = annotations.get("x-opt-offset")
        event.enqueued_time = annotations.get("x-opt-enqueued-time")
        event.device_id = annotations.get("iothub-connection-device-id")
        self._filter = _after(event.sequence_number)
        self._events.put((self, event))

    def taken(self):
        """The program has one: another may come."""
        if self.link is not None and self.link.attached:
            self.link.grant()
