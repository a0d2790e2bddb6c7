"""A PUBLISH over max_inbound: who waits for it is told. Loaded when the first such comes."""

from ..inbox import OversizedError
from ..pending import answer
from . import topics


def report(topic, size, limit, events, requests, respond):
    """A PUBLISH to `topic` (bytes; None: not even that was kept) has been drained.

    requests: of the twin, by rid. respond(rid, status, body) answers a method: with 413. A
    cloud-to-device message stays unacknowledged, and comes again with the next connection.
    """
    try:
        topic = topic.decode() if topic is not None else ""
        method, twin = topics.parse_method(topic), topics.parse_twin_answer(topic)
        desired = topics.parse_desired(topic)
    except ValueError:  # a topic that cannot be read must not end the connection
        method = twin = desired = None
    if twin is not None:
        answer(requests, twin[1], error=OversizedError("twin", size, limit))
    elif method is not None:
        respond(method[1], 413, b"")
        events.report(OversizedError("method", size, limit))
    elif desired is not None:
        events.report(OversizedError("desired", size, limit))
    else:
        events.on_dropped(OversizedError("message", size, limit))
