"""Feedback from a device: what became of its messages, told by a message instead of settlement.

Contract: docs/protocol/amqp.md, Device links: a sender link to /messages/serviceBound/feedback.
"""

import json

from .sections import AmqpMessage


async def send_feedback(supervisor, records):
    """The client's method. records: dicts of originalMessageId, deviceId and statusCode.

    statusCode: Success, Rejected or Abandoned. The client must be connected, over AMQP.
    ServiceError: the hub does not take it; OperationTimeout.
    """
    message = AmqpMessage(json.dumps(records).encode())
    await supervisor.transport.send_to("/messages/serviceBound/feedback", message)
