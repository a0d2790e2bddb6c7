"""Requests that the local hub alone answers: stored events, cut connections, edge inputs, CAs."""

import asyncio
import base64
import time
from urllib.parse import quote

_MARGIN = 30  # seconds for an answer, beside the time for which the hub waits


class LocalControl:
    """The local hub's own requests, under /local. Azure's hub answers 404."""

    def __init__(self, rest):
        self._rest = rest

    async def stored_events(self, device_id, after=-1, wait=0):
        """A device's events after position `after`: dicts with position, body (bytes), system,
        application and annotations. Waits up to `wait` seconds for the first one.
        """
        query = {"device": device_id, "after": str(after), "wait": str(wait)}
        events = await self._rest.request("GET", "/local/events", query, timeout=wait + _MARGIN)
        return [{**event, "body": base64.b64decode(event["body"])} for event in events]

    async def telemetry(self, device_id, after=-1, timeout=20):
        """Yield a device's telemetry among stored_events(), without end; TimeoutError when none
        comes in `timeout` seconds.
        """
        while True:
            deadline = time.monotonic() + timeout
            events = []
            while not events:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise asyncio.TimeoutError(f"no telemetry of {device_id} in {timeout} s")
                events = await self.stored_events(device_id, after, max(0.1, left))
                after = events[-1]["position"] if events else after
                events = [event for event in events if _source(event) == "Telemetry"]
            for event in events:
                yield event

    async def cut_connection(self, device_id):
        """Cut a device's connection as a broken network does. ServiceError 404: it has none."""
        await self._rest.request("POST", f"/local/devices/{quote(device_id, safe='')}/drop")

    async def cut_event_readers(self):
        """Cut the connections that read events, as a broken network does."""
        await self._rest.request("POST", "/local/readers/cut")

    async def send_input(self, device_id, module_id, name, body, properties=None):
        """Send a message to an input of a module, as an edge hub does."""
        path = "/".join(
            quote(part, safe="")
            for part in ("local", "devices", device_id, "modules", module_id, "inputs", name)
        )
        message = {"body": base64.b64encode(body).decode(), "properties": properties or {}}
        await self._rest.request("POST", f"/{path}", json=message)

    async def add_authority(self, name, pem):
        """Register a CA (PEM text): devices whose certificates it signed may connect."""
        path = f"/local/authorities/{quote(name, safe='')}"
        await self._rest.request("PUT", path, data=pem.encode())


def _source(event):
    return event["annotations"]["iothub-message-source"]
