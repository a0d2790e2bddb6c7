"""A small client for the hub's REST side: what the tools, the demo and the tests need.

With the same connection string format it speaks to the real hub, but for events() and drop().
"""

import asyncio
import base64
import ssl
import time
from urllib.parse import quote

import aiohttp

from .core import auth
from .rest.devices import LOCAL_C2D

_API = {"api-version": "2021-04-12"}
_TIMEOUT = 30
_TOKEN_LIFE = 3600


class ServiceError(Exception):
    """The hub's refusal: its HTTP status and its words."""

    def __init__(self, status, message):
        super().__init__(f"{status} {message}")
        self.status = status


class ServiceClient:
    """Use it as: async with ServiceClient(connection_string, ca_file) as service. It waits for
    nothing without a deadline.
    """

    def __init__(self, connection_string, ca_file=None):
        fields = dict(part.split("=", 1) for part in connection_string.split(";") if "=" in part)
        missing = {"HostName", "SharedAccessKeyName", "SharedAccessKey"} - set(fields)
        if missing:
            raise ValueError(f"service connection string: {', '.join(sorted(missing))} is missing")
        self._host = fields["HostName"]
        self._policy = fields["SharedAccessKeyName"]
        self._key = fields["SharedAccessKey"]
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._session = None

    async def __aenter__(self):
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT))
        return self

    async def __aexit__(self, *_):
        await self._session.close()

    def _token(self):
        expiry = int(time.time()) + _TOKEN_LIFE
        resource = quote(self._host, safe="")
        signature = base64.b64encode(auth.sign(resource, expiry, self._key))
        signed = f"sr={resource}&sig={quote(signature, safe='')}&se={expiry}"
        return f"SharedAccessSignature {signed}&skn={quote(self._policy, safe='')}"

    async def _call(
        self, method, path, query=None, timeout=_TIMEOUT, headers=None, with_headers=False, **body
    ):
        async with self._session.request(
            method,
            f"https://{self._host}{path}",
            params={**_API, **(query or {})},
            headers={"Authorization": self._token(), **(headers or {})},
            ssl=self._tls,
            timeout=aiohttp.ClientTimeout(total=timeout),
            **body,
        ) as response:
            if response.status >= 400:
                try:
                    message = (await response.json(content_type=None))["Message"]
                except (ValueError, KeyError, TypeError):
                    message = await response.text()
                raise ServiceError(response.status, message)
            answer = await response.json() if response.status != 204 else None
            return (answer, response.headers) if with_headers else answer

    async def create_device(self, device_id, **fields):
        """Register a device; its identity, with its keys."""
        body = {"deviceId": device_id, "status": "enabled", **fields}
        return await self._call("PUT", f"/devices/{quote(device_id, safe='')}", json=body)

    async def create_module(self, device_id, module_id):
        """Register a module of a device; its identity, with its keys."""
        body = {"deviceId": device_id, "moduleId": module_id}
        return await self._call("PUT", _module_path(device_id, module_id), json=body)

    async def get_device(self, device_id):
        return await self._call("GET", f"/devices/{quote(device_id, safe='')}")

    async def get_module(self, device_id, module_id):
        return await self._call("GET", _module_path(device_id, module_id))

    async def update_device(self, device_id, **fields):
        """Change a device's status or keys."""
        body = {"deviceId": device_id, **fields}
        path = f"/devices/{quote(device_id, safe='')}"
        return await self._call("PUT", path, json=body, headers={"If-Match": '"*"'})

    async def list_devices(self):
        return await self._call("GET", "/devices", {"top": "1000"})

    async def delete_device(self, device_id):
        await self._call(
            "DELETE", f"/devices/{quote(device_id, safe='')}", headers={"If-Match": '"*"'}
        )

    async def get_twin(self, device_id):
        return await self._call("GET", f"/twins/{quote(device_id, safe='')}")

    async def patch_twin(self, device_id, patch):
        """Merge {"tags": …, "properties": {"desired": …}}; the whole twin."""
        return await self._call("PATCH", f"/twins/{quote(device_id, safe='')}", json=patch)

    async def query(self, text):
        """Yield the rows of a query, page by page."""
        headers = {}
        while True:
            rows, answered = await self._call(
                "POST", "/devices/query", json={"query": text}, headers=headers, with_headers=True
            )
            for row in rows:
                yield row
            token = answered.get("x-ms-continuation")
            if not token:
                return
            headers = {"x-ms-continuation": token}

    async def invoke_method(
        self, device_id, name, payload, response_timeout=30, connect_timeout=10
    ):
        """Call a direct method: (status, payload)."""
        body = {
            "methodName": name,
            "payload": payload,
            "responseTimeoutInSeconds": response_timeout,
            "connectTimeoutInSeconds": connect_timeout,
        }
        path = f"/twins/{quote(device_id, safe='')}/methods"
        limit = response_timeout + connect_timeout + 5
        answer = await self._call("POST", path, json=body, timeout=limit)
        return answer["status"], answer["payload"]

    async def send_c2d(self, device_id, body, properties=None, ack=None, expiry=None, **system):
        """Send a cloud-to-device message (bytes).

        properties: {name: str or None}; system: message_id, correlation_id, content_type …
        """
        message = {
            "body": base64.b64encode(body).decode(),
            "properties": properties or {},
            "system": {name.replace("_", "-"): value for name, value in system.items()},
            "ack": ack,
            "expiry": expiry,
        }
        path = f"/devices/{quote(device_id, safe='')}/messages/deviceBound"
        await self._call("POST", path, json=message, headers={"Content-Type": LOCAL_C2D})

    async def events(self, device_id, after=-1, wait=0):
        """The device's events after position `after`, each a dict with its body as bytes.

        Waits up to `wait` seconds for the first one.
        """
        query = {"device": device_id, "after": str(after), "wait": str(wait)}
        events = await self._call("GET", "/local/events", query, timeout=wait + _TIMEOUT)
        return [{**event, "body": base64.b64decode(event["body"])} for event in events]

    async def telemetry(self, device_id, after=-1, timeout=20):
        """Yield the device's telemetry events for ever; TimeoutError when none comes in time."""
        while True:
            give_up = time.monotonic() + timeout
            events = []
            while not events:
                if time.monotonic() >= give_up:
                    raise asyncio.TimeoutError(f"no telemetry of {device_id} in {timeout} s")
                events = await self.events(device_id, after, max(0.1, give_up - time.monotonic()))
                after = events[-1]["position"] if events else after
                events = [e for e in events if _source(e) == "Telemetry"]
            for event in events:
                yield event

    async def send_input(self, device_id, module_id, name, body, properties=None):
        """Hand a message to a module's input, as an edge hub would."""
        path = f"/local{_module_path(device_id, module_id)}"
        message = {"body": base64.b64encode(body).decode(), "properties": properties or {}}
        await self._call("POST", f"{path}/inputs/{quote(name, safe='')}", json=message)

    async def add_authority(self, name, pem):
        """Register a CA (PEM): devices whose certificates it signed may connect."""
        await self._call("PUT", f"/local/authorities/{quote(name, safe='')}", data=pem.encode())

    async def enroll(self, name, group=False, **fields):
        """Make an enrollment, or a group's; it comes back with its keys."""
        kind = "enrollmentGroups" if group else "enrollments"
        return await self._call("PUT", f"/{kind}/{quote(name, safe='')}", json=fields)

    async def list_enrollments(self, group=False):
        kind = "enrollmentGroups" if group else "enrollments"
        return await self._call("POST", f"/{kind}/query")

    async def get_enrollment(self, name, group=False):
        kind = "enrollmentGroups" if group else "enrollments"
        return await self._call("GET", f"/{kind}/{quote(name, safe='')}")

    async def delete_enrollment(self, name, group=False):
        kind = "enrollmentGroups" if group else "enrollments"
        await self._call("DELETE", f"/{kind}/{quote(name, safe='')}")

    async def drop(self, device_id):
        """Cut the device's connection as a broken network would."""
        await self._call("POST", f"/local/devices/{quote(device_id, safe='')}/drop")

    async def cut_readers(self):
        """Cut the connections that read events, as a broken network would."""
        await self._call("POST", "/local/readers/cut")


def _module_path(device_id, module_id):
    return f"/devices/{quote(device_id, safe='')}/modules/{quote(module_id, safe='')}"


def _source(event):
    return event["annotations"]["iothub-message-source"]
