"""What became of a device's messages, said by a message rather than by settling them.

Source: seeds, "Device client": a sender link to /messages/serviceBound/feedback.
"""

import json

from .links import Delivery
from .sections import AmqpMessage


async def send_feedback(client, records):
    """Send a list of {"originalMessageId", "deviceId", "statusCode"} over a client's connection.

    statusCode: Success, Rejected or Abandoned. The client must be connected, over AMQP.
    ServiceError: the hub does not take it; OperationTimeout.
    """
    message = AmqpMessage(json.dumps(records).encode())
    address = "/messages/serviceBound/feedback"
    await client._transport.send_to(address, Delivery(*message.parts_to_send()))
