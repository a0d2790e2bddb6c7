"""Direct methods: a service's call waits for the device's answer."""

import asyncio
import json
import secrets

from . import json_body
from .errors import HubError

MAX_PAYLOAD = 128 * 1024


class DirectMethods:
    """The calls under way."""

    def __init__(self):
        self._calls = {}  # (identity name, request id): future of (status, body)
        self._changed = asyncio.Event()  # a device has connected or subscribed

    async def invoke(self, identity, name, payload, connect_timeout=0, response_timeout=30):
        """Call a method: (status, decoded payload or None). HubError 404, 413, 502, 504.

        connect_timeout: seconds that the device may take to connect; response_timeout: seconds
        that it may take to answer.
        """
        body = b"" if payload is None else json_body.encode(payload)
        if len(body) > MAX_PAYLOAD:
            raise HubError(
                413, "RequestEntityTooLarge", "the payload is larger than 128 KB", 413001
            )
        request_id = secrets.token_hex(4)
        answer = asyncio.get_running_loop().create_future()
        self._calls[identity.name, request_id] = answer
        try:
            await self._send(identity, name, request_id, body, connect_timeout)
            status, body = await asyncio.wait_for(answer, response_timeout)
        except asyncio.TimeoutError:
            reason = f"{identity.name} did not answer within {response_timeout} s"
            raise HubError(504, "DeviceTimeout", reason, 504101) from None
        finally:
            del self._calls[identity.name, request_id]
        try:
            return status, json.loads(body) if body else None
        except (ValueError, RecursionError):
            reason = "the device's answer is not valid JSON"
            raise HubError(502, "InvalidResponse", reason) from None

    async def _send(self, identity, name, request_id, body, connect_timeout):
        """Give the call to the device's session, which may still have to connect."""
        deadline = asyncio.get_running_loop().time() + connect_timeout
        while True:
            changed, session = self._changed, identity.session
            if session is not None and session.call_method(name, request_id, body):
                return
            left = deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(changed.wait(), max(0, left))
            except asyncio.TimeoutError:
                reason = f"{identity.name} is not connected, or has no method handler"
                raise HubError(404, "DeviceNotOnline", reason, 404103) from None

    def wake(self):
        """Wake the calls that wait for a device to connect or subscribe."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def answer(self, identity, request_id, status, body):
        """A device's answer. An answer that no call waits for is dropped."""
        call = self._calls.get((identity.name, request_id))
        if call is not None and not call.done():
            call.set_result((status, body))
