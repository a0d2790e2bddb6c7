"""File uploads: those that devices have begun, and the blobs as files in a folder."""

import contextlib
import hashlib
import secrets
from urllib.parse import quote

from .errors import HubError


class Uploads:
    """folder: holds the blobs, each under its percent-encoded name, or a digest of a long name."""

    def __init__(self, folder):
        self._folder = folder
        self._active = {}  # correlation id: (device id, blob name)

    def begin(self, device_id, name, limit):
        """Begin an upload; returns its correlation id. HubError 403: `limit` are under way."""
        if sum(owner == device_id for owner, _ in self._active.values()) >= limit:
            reason = f"{limit} uploads of {device_id} are under way: notify the hub when one ends"
            raise HubError(403, "DeviceMaximumActiveFileUploadLimitExceeded", reason, 403006)
        correlation = secrets.token_urlsafe(12)
        self._active[correlation] = device_id, name
        return correlation

    def end(self, device_id, correlation):
        """End an upload. HubError 404: this device has begun no such upload."""
        if self._active.get(correlation, (None,))[0] != device_id:
            raise HubError(
                404,
                "FileUploadNotFound",
                "this device has begun no upload with this correlationId",
            )
        del self._active[correlation]

    def path(self, blob):
        """The path of a blob's file."""
        name = "blob-" + quote(blob, safe="")
        if len(name) > 200:
            name = "blob-" + hashlib.sha256(blob.encode()).hexdigest()
        return self._folder / name

    @contextlib.contextmanager
    def writing(self, blob):
        """A binary file that becomes the blob if the block ends without an error."""
        self._folder.mkdir(parents=True, exist_ok=True)
        aside = self._folder / f"part-{secrets.token_hex(8)}"
        try:
            with aside.open("wb") as file:
                yield file
            aside.replace(self.path(blob))
        finally:
            aside.unlink(missing_ok=True)
