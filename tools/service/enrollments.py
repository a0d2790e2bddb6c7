"""Enrollments of the provisioning service (DPS), over its REST interface."""

from urllib.parse import quote


class Enrollments:
    """Individual enrollments and, with group=True, enrollment groups; as the REST API's dicts."""

    def __init__(self, rest):
        self._rest = rest

    async def create(self, name, group=False, **fields):
        """Create an enrollment; it comes back with its keys."""
        return await self._rest.request("PUT", _path(name, group), json=fields)

    async def list(self, group=False):
        return await self._rest.request("POST", f"/{_kind(group)}/query")

    async def get(self, name, group=False):
        return await self._rest.request("GET", _path(name, group))

    async def delete(self, name, group=False):
        await self._rest.request("DELETE", _path(name, group))


def _kind(group):
    return "enrollmentGroups" if group else "enrollments"


def _path(name, group):
    return f"/{_kind(group)}/{quote(name, safe='')}"
