"""What a client prints of itself."""


def describe(client):
    """A client's repr: its state, what waits to be acknowledged, round trip, reconnects, heap."""
    parts = [client._state]
    waiting, round_trip = client._transport.health()
    if waiting:
        parts.append("%d waiting" % waiting)
    if round_trip is not None:
        parts.append("round trip %d ms" % round_trip)
    if client.connections > 1:
        parts.append("reconnects %d" % (client.connections - 1))
    if client.heap_low is not None:
        parts.append("heap low %d KB" % (client.heap_low // 1024))
    names = type(client).__name__, client._credentials.client_id, ", ".join(parts)
    return "<%s %s: %s>" % names
