"""The clients' methods that few programs use; each comes with its module when first asked for.

update_sastoken(sastoken)                        use another ready token from now on
get_storage_info_for_blob(blob_name)             where a file is to be uploaded to
notify_blob_upload_status(correlation_id, is_success, status_code, status_description)
upload_blob(blob_name, file, length=None)        all of it: ask, send the file, tell the hub
"""

_HOMES = {
    "update_sastoken": "renewal",
    "get_storage_info_for_blob": "upload",
    "notify_blob_upload_status": "upload",
    "upload_blob": "upload",
}


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


def method(client, name):
    """The bound method `name`. AttributeError: there is none."""
    if name not in _HOMES:
        raise AttributeError("%s has no %r" % (type(client).__name__, name))
    function = getattr(__import__(_HOMES[name], globals(), None, ("*",), 1), name)
    return lambda *arguments: function(client, *arguments)
