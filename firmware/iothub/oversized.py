"""What is larger than max_inbound, and was not kept: whoever waits for it is told.

Loaded when the first such thing comes.
"""

from .mqtt import topics


class OversizedError(ValueError):
    """Something of `size` bytes came, at `stage`: over max_inbound, so it was not kept."""

    def __init__(self, stage, size, limit):
        super().__init__("%s: %d bytes came; max_inbound is %d" % (stage, size, limit))
        self.stage = stage
        self.size = size


def tell(transport, client, answers, topic, size):
    """Over MQTT: a PUBLISH to `topic` (bytes; None: not even that was kept) has been drained.

    answers: {rid: Answer} of the twin requests. A method is answered 413. A C2D message stays
    unacknowledged, and comes again with the next connection.
    """
    limit = transport.max_inbound
    try:
        topic = topic.decode() if topic is not None else ""
        method, twin = topics.parse_method(topic), topics.parse_twin_answer(topic)
        desired = topics.parse_desired(topic)
    except ValueError:  # a topic that nobody can read must not end the connection
        method = twin = desired = None
    if twin is not None:
        answer = answers.pop(twin[1], None)
        if answer is not None:
            answer.fail(OversizedError("twin", size, limit))
    elif method is not None:
        transport.send_method_response(method[1], 413, b"")
        transport.problem(OversizedError("method", size, limit))
    elif desired is not None:
        transport.problem(OversizedError("desired", size, limit))
    else:
        client.oversized(OversizedError("message", size, limit))
