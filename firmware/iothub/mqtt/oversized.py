"""A packet over max_inbound: who waits for it is told. Loaded when the first such comes."""

from ..failures import OversizedError
from ..pending import answer
from . import topics


def report(topic, size, limit, own, events, requests, respond):
    """A PUBLISH to `topic` (bytes; None: not even that was kept) has been drained.

    requests: of the twin, by rid. respond(rid, status, body) answers a method: with 413. A
    cloud-to-device message stays unacknowledged, and comes again with the next connection.
    """
    try:
        parsed = topics.parse(topic.decode() if topic is not None else "", own)
    except ValueError:  # a topic that cannot be read must not end the connection
        parsed = None
    kind = parsed[0] if parsed is not None else "message"
    error = OversizedError(kind, size, limit)
    if kind == "twin":
        answer(requests, parsed[2], None, error)
    elif kind == "message":
        events.dropped += 1
        events.report(error)
    else:
        if kind == "method":
            respond(parsed[2], 413, b"")
        events.report(error)
