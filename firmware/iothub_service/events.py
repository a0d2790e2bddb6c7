"""The devices' events: found by the hub's redirect, read from all partitions at once.

Source: spec iothub-amqp, "Service links"; sdk-expectations, azure-eventhub ($management).
"""

from iothub import sas
from iothub.amqp.codec import Described, Typed
from iothub.amqp.convert import message_from
from iothub.amqp.links import Delivery
from iothub.amqp.sections import VALUE, AmqpMessage, decode_message
from iothub.deadline import Answer, within
from iothub.errors import ProtocolError, RefusedError, ServiceError

from .connection import Inbox, Part

_SELECTOR = "apache.org:selector-filter:string"
_CREDIT = 32
_REDIRECT = "/messages/events/ConsumerGroups/$Default/Partitions/0"


async def find(hub, key, policy, make_channel):
    """The Channel to the event hub that the hub redirects readers to."""
    probe = _Probe()
    try:
        await hub.add(probe)
    except RefusedError as error:
        if error.code != "amqp:link:redirect" or not error.info:  # type: ignore[attr-defined]
            raise
        info = error.info  # type: ignore[attr-defined]
    else:
        raise ProtocolError("the hub does not say where its events are", "attach")
    host, port, address = info["network-host"], info["port"], info["address"]
    # amqps://host:port/entity/ConsumerGroups/…: the token is for the entity.
    entity = address.split("://")[-1].split("/")[1]
    audience = "sb://%s/%s" % (info["hostname"], entity)

    def sign(expiry):
        token = sas.signed(audience, key.encode(), expiry, policy)
        return token, audience, "%s@sas.root.%s" % (policy, host.split(".")[0])

    channel = make_channel(host, port, sign)
    channel.entity = entity
    return channel


class _Probe(Part):
    def attach(self, wire):
        self.link, answer = wire.begin_receiver(_REDIRECT)
        self.link.about = self
        return [answer]


class _Management(Part):
    """$management: one request after the other."""

    def __init__(self, entity):
        self._entity = entity
        self._sender = None

    def attach(self, wire):
        self._wire = wire
        self._sender, sending = wire.begin_sender("$management")
        self.link, receiving = wire.begin_receiver("$management")
        self._sender.about = self.link.about = self
        return [sending, receiving]

    async def read(self, timeout, **fields):
        """The answer's map to a READ. ServiceError: the status is not 200."""
        message = AmqpMessage(None, VALUE, message_id="read", reply_to="management")
        message.application = dict(fields, operation="READ", name=self._entity)
        answer = self._wire.answers["read"] = Answer()
        self._wire.send(self._sender, Delivery(message.encode(), b"", True))
        status, body = await within(timeout, "management", answer.wait())
        if status != 200:
            raise ServiceError("the event hub refuses to tell", "management", status)
        return body

    def received(self, receiver, number, payload):
        self._wire.done(receiver, number)
        message = decode_message(payload)
        answer = self._wire.answers.pop("read", None)
        if answer is not None:
            answer.give((message.application.get("status-code"), message.body))

    def leave(self):
        super().leave()
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
        channel,
        partition=None,
        sequence_number=None,
        offset=None,
        enqueued_time=None,
        inclusive=False,
        beginning=False,
        consumer_group="$Default",
    ):
        super().__init__()
        self._channel = channel
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
        self._parts = []

    async def begin(self):
        """Find the partitions, and attach to them."""
        channel = self._channel
        timeout = channel.wire.timeout
        management = _Management(channel.entity)
        await channel.add(management)
        try:
            names = [self._partition]
            if self._partition is None:
                hub = await management.read(timeout, type="com.microsoft:eventhub")
                names = hub["partition_ids"]
            for name in names:
                start = self._filter
                if start is None:  # by number, so that a reconnect knows where "new" began
                    state = await management.read(
                        timeout, type="com.microsoft:partition", partition=name
                    )
                    last = state["last_enqueued_sequence_number"]
                    start = _after(last)
                self._parts.append(_Partition(self, name, self._group, start))
        finally:
            channel.remove(management)
        for part in self._parts:
            await channel.add(part)

    def attach(self, wire):
        return []

    async def __anext__(self):
        part, event = await super().__anext__()
        part.taken()
        return event

    async def close(self):
        """Stop reading."""
        for part in self._parts:
            self._channel.remove(part)


def _after(sequence_number):
    return "amqp.annotation.x-opt-sequence-number > '%d'" % sequence_number


class _Partition(Part):
    """One partition's link; it knows how far it has come."""

    def __init__(self, events, name, group, start):
        self._events = events
        self._name = name
        self._group = group
        self._filter = start

    def attach(self, wire):
        self._wire = wire
        address = "%s/ConsumerGroups/%s/Partitions/%s" % (
            self._events._channel.entity,
            self._group,
            self._name,
        )
        selector = {_SELECTOR: Described(Typed("symbol", _SELECTOR), self._filter)}
        self.link, answer = wire.begin_receiver(address, None, selector, _CREDIT)
        self.link.about = self
        return [answer]

    def detached(self, error):
        self._events.detached(error)

    def received(self, receiver, number, payload):
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
            self._wire.wake()
