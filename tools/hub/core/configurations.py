"""Automatic device configurations: the hub keeps them and gives them back; it applies none."""

import json
import secrets

from .errors import HubError


class Configurations:
    """All configurations, in memory; the store has each change."""

    def __init__(self, store, stamp):
        self._store = store
        self._stamp = stamp
        self._all = {}  # id: configuration

    async def load(self):
        for name, value in await self._store.query("SELECT name, value FROM configurations"):
            self._all[name] = json.loads(value)

    def every(self):
        return list(self._all.values())

    def find(self, name):
        """The configuration, or None."""
        return self._all.get(name)

    def get(self, name):
        """The configuration; HubError 404."""
        found = self.find(name)
        if found is None:
            raise HubError(404, "ConfigurationNotFound", f"{name} does not exist", 404201)
        return found

    def put(self, name, wanted):
        """Make or replace a configuration from a REST body; returns it as it is kept."""
        now, before = self._stamp(), self.find(name)
        kept = {
            **wanted,
            "id": name,
            "createdTimeUtc": before["createdTimeUtc"] if before else now,
            "lastUpdatedTimeUtc": now,
            "etag": secrets.token_urlsafe(8),
        }
        self._all[name] = kept
        value = json.dumps(kept, ensure_ascii=False)
        self._store.put("REPLACE INTO configurations VALUES (?, ?)", name, value)
        return kept

    def delete(self, name):
        """HubError 404."""
        self.get(name)
        del self._all[name]
        self._store.put("DELETE FROM configurations WHERE name = ?", name)
