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


def method(client, name):
    """The bound method `name`. AttributeError: there is none."""
    if name not in _HOMES:
        raise AttributeError("%s has no %r" % (type(client).__name__, name))
    function = getattr(__import__(_HOMES[name], globals(), None, ("*",), 1), name)
    return lambda *arguments: function(client, *arguments)
