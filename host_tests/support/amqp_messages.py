"""Shared by the tests of the hub's AMQP links: addresses, a device, a C2D message."""

from iothub.amqp.sections import AmqpMessage

EVENTS = "/devices/dev/messages/events"
MESSAGES = "/devices/dev/messages/devicebound"
PARTITION = "iothub-ehub-local/ConsumerGroups/$Default/Partitions/"


async def device(testbed):
    return await testbed.amqp_device("dev", await testbed.new())


def c2d(body, message_id="m", to=MESSAGES, **fields):
    message = AmqpMessage(body, message_id=message_id, to=to, **fields)
    message.application = {"iothub-ack": "full"}
    return message
