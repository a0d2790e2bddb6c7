"""The hub itself, without protocols: identities, twins, messages, methods and events in one place.

A front connects an identity with a Connection: an object with close(reason), desired(patch),
messages_waiting() and call_method(name, request_id, body) -> bool (False: it takes no methods).
"""

import asyncio
import json
import secrets
import time

from . import twins, x509
from .access import POLICIES, Access
from .errors import HubError, bad_request
from .events import ENTITY, EventLog
from .feedback import Feedback
from .identities import Identities, etag, new_key
from .provisioning import Provisioning
from .store import Store
from .uploads import Uploads
from .values import check, iso

MAX_TELEMETRY = 256 * 1024
MAX_METHOD = 128 * 1024
_AUTH_METHODS = {
    kind: json.dumps({"scope": "device", "type": kind, "issuer": "iothub"})
    for kind in ("sas", "selfSigned", "certificateAuthority")
}


class Core:
    """One hub. open() reads what the store has; every change is durable after durable()."""

    def __init__(self, path, clock=time.time):
        self.clock = clock
        self.store = Store(path)
        self.feedback = Feedback(self.store, clock)
        self.identities = Identities(self.store, clock, self.stamp, self.feedback)
        self.events = EventLog(self.store, clock)
        self.policy_keys = {}
        self.authorities = {}
        self.access = Access(self.identities, self.policy_keys, self.authorities, clock)
        self.configurations = {}
        self.provisioning = Provisioning(self)
        self.uploads = Uploads(self.store.folder / "blobs")
        self._next_message = 1
        self._calls = {}  # (identity name, request id): future of (status, body)
        self._arrivals = asyncio.Event()

    async def open(self):
        await self.store.open()
        await self.events.load()
        self._next_message = await self.identities.load() + 1
        await self.feedback.load()
        await self.provisioning.load()
        for name, value in await self.store.query("SELECT name, value FROM configurations"):
            self.configurations[name] = json.loads(value)
        self.authorities.update(await self.store.query("SELECT name, pem FROM authorities"))
        settings = dict(await self.store.query("SELECT name, value FROM settings"))
        key = settings.get("iothubowner")
        if key is None:
            key = new_key()
            self.store.put("INSERT INTO settings VALUES (?, ?)", "iothubowner", key)
        # One key for all policies: whoever has the hub's data folder has them all anyway.
        self.policy_keys.update(dict.fromkeys(POLICIES, key))
        await self.store.durable()

    async def close(self):
        await self.store.close()

    def close_connections(self):
        for identity in self.identities.every():
            if identity.connection is not None:
                identity.connection.close("the hub stops")

    async def durable(self):
        """Wait until everything done so far is on disk."""
        await self.store.durable()

    def stamp(self):
        """The time as IoT Hub writes it."""
        return iso(self.clock())

    # -- connections ------------------------------------------------------------------------

    def connect(self, identity, connection):
        """`connection` is the identity's from now on; an older one is closed (400027)."""
        if identity.connection is not None:
            identity.connection.close("400027 ConnectionForcefullyClosedOnNewConnection")
            self.disconnect(identity, identity.connection)
        identity.connection = connection
        self.ready(identity)

    def ready(self, identity):
        """The connection can take something it could not before: whoever waits for that looks."""
        arrivals, self._arrivals = self._arrivals, asyncio.Event()
        arrivals.set()

    def disconnect(self, identity, connection):
        """`connection` is gone; what it had locked is free again."""
        identity.queue.release(connection)
        if identity.connection is connection:
            identity.connection = None

    # -- registry ---------------------------------------------------------------------------

    def create(self, device_id, module_id, wanted):
        identity = self.identities.create(device_id, module_id, wanted)
        self._tell(identity, "deviceLifecycleEvents", "create", self.twin(identity))
        return identity

    def update(self, identity, wanted):
        """Change an identity; one that is disabled loses its connection."""
        self.identities.update(identity, wanted)
        if not identity.enabled and identity.connection is not None:
            identity.connection.close("the identity has been disabled")

    def delete(self, identity):
        self._tell(identity, "deviceLifecycleEvents", "delete", self.twin(identity))
        for one in self.identities.delete(identity):
            if one.connection is not None:
                one.connection.close("the identity has been deleted")

    # -- telemetry --------------------------------------------------------------------------

    def telemetry(self, identity, body, system, application, more, auth_method="sas"):
        """Take in a message of a device's; its sequence number. HubError 413.

        system and application: properties by their AMQP names; more: further annotations.
        """
        if len(body) > MAX_TELEMETRY:
            raise HubError(413, "MessageTooLarge", "the message is larger than 256 KB", 413001)
        annotations = {
            **more,
            "iothub-connection-auth-method": _AUTH_METHODS[auth_method],
            "iothub-connection-auth-generation-id": identity.record["generationId"],
            "iothub-enqueuedtime": int(self.clock() * 1000),
            "iothub-message-source": "Telemetry",
        }
        if identity.module_id:
            annotations["iothub-connection-module-id"] = identity.module_id
        return self.events.append(identity.device_id, body, system, application, annotations)

    def _tell(self, identity, source, operation, body):
        """Log an event that the hub itself makes."""
        properties = {
            "hubName": "localhost",
            "deviceId": identity.device_id,
            "opType": operation,
            "operationTimestamp": self.stamp(),
        }
        if identity.module_id:
            properties["moduleId"] = identity.module_id
        self.events.append(
            identity.device_id,
            json.dumps(body, ensure_ascii=False).encode(),
            {"content-type": "application/json", "content-encoding": "utf-8"},
            properties,
            {"iothub-message-source": source},
        )

    # -- messages to a device ---------------------------------------------------------------

    def send_message(self, identity, body, system, application, ack="none", expires=None):
        """Queue a cloud-to-device message; a connected device gets it at once."""
        check(system, "system properties")
        check(application, "properties")
        number = self._next_message
        identity.queue.enqueue(number, body, system, application, ack, expires)
        self._next_message += 1
        if identity.connection is not None:
            identity.connection.messages_waiting()

    def sweep(self):
        """Drop the messages whose time is over; free those, and feedback, locked for too long."""
        for identity in self.identities.every():
            identity.queue.expire()
            if identity.connection is not None and len(identity.queue):
                identity.connection.messages_waiting()
        self.feedback.expire()

    # -- twins ------------------------------------------------------------------------------

    def twin(self, identity):
        """The twin in the REST API's shape."""
        record, twin = identity.record, identity.twin
        result = {
            "deviceId": identity.device_id,
            "etag": etag(twin["version"]),
            "deviceEtag": record["etag"],
            "status": record["status"],
            "statusUpdateTime": record["statusUpdatedTime"],
            "connectionState": "Connected" if identity.connection else "Disconnected",
            "lastActivityTime": self.stamp(),
            "cloudToDeviceMessageCount": len(identity.queue),
            "authenticationType": record["authentication"]["type"],
            "x509Thumbprint": record["authentication"]["x509Thumbprint"],
            "modelId": record.get("modelId", ""),
            "version": twin["version"],
            "tags": twin["tags"],
            "properties": {
                "desired": twins.full(twin["desired"]),
                "reported": twins.full(twin["reported"]),
            },
            "capabilities": record["capabilities"],
        }
        if identity.module_id:
            result["moduleId"] = identity.module_id
        return result

    def report(self, identity, patch):
        """Merge reported properties; their new $version."""
        section = twins.patched(identity.twin["reported"], patch, self.stamp(), "reported")
        self._set_twin(identity, reported=section)
        self._tell(identity, "twinChangeEvents", "updateTwin", {"properties": {"reported": patch}})
        return section["version"]

    def patch_twin(self, identity, body, replace=False):
        """A service changes tags and desired properties: merged, or replaced as a whole."""
        if not isinstance(body, dict):
            raise bad_request("a twin is a JSON object")
        changes, now = {}, self.stamp()
        properties = body.get("properties") or {}
        if not isinstance(properties, dict):
            raise bad_request("properties is a JSON object")
        desired = properties.get("desired", {} if replace else None)
        if desired is not None:
            change = twins.replaced if replace else twins.patched
            changes["desired"] = change(identity.twin["desired"], desired, now, "desired")
        tags = body.get("tags", {} if replace else None)
        if tags is not None:
            changes["tags"] = twins.merged_tags({} if replace else identity.twin["tags"], tags)
        self._set_twin(identity, **changes)
        if "desired" in changes and identity.connection is not None:
            patch = (
                twins.plain(changes["desired"])
                if replace
                else _with_version(desired, changes["desired"])
            )
            identity.connection.desired(patch)
        operation = "replaceTwin" if replace else "updateTwin"
        self._tell(identity, "twinChangeEvents", operation, body)

    def _set_twin(self, identity, **changes):
        version = identity.twin["version"] + 1
        identity.twin = {**identity.twin, **changes, "version": version}
        identity.save()

    # -- methods ----------------------------------------------------------------------------

    async def invoke(self, identity, name, payload, connect_timeout=0, response_timeout=30):
        """Call a direct method: (status, decoded payload or None). HubError 404, 413, 504."""
        body = b"" if payload is None else json.dumps(payload, ensure_ascii=False).encode()
        if len(body) > MAX_METHOD:
            raise HubError(413, "RequestEntityTooLarge", "the payload is over 128 KB", 413001)
        request_id = secrets.token_hex(4)
        answer = asyncio.get_running_loop().create_future()
        self._calls[identity.name, request_id] = answer
        try:
            await self._place_call(identity, name, request_id, body, connect_timeout)
            status, body = await asyncio.wait_for(answer, response_timeout)
        except asyncio.TimeoutError:
            reason = f"{identity.name} did not answer within {response_timeout} s"
            raise HubError(504, "DeviceTimeout", reason, 504101) from None
        finally:
            del self._calls[identity.name, request_id]
        try:
            return status, json.loads(body) if body else None
        except ValueError:
            raise HubError(502, "InvalidResponse", "the device's answer is no JSON") from None

    async def _place_call(self, identity, name, request_id, body, connect_timeout):
        """Hand the call to the connection, which may take `connect_timeout` s to come."""
        give_up = asyncio.get_running_loop().time() + connect_timeout
        while True:
            arrivals, connection = self._arrivals, identity.connection
            if connection is not None and connection.call_method(name, request_id, body):
                return
            left = give_up - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(arrivals.wait(), max(0, left))
            except asyncio.TimeoutError:
                reason = f"{identity.name} is not connected, or has no method handler"
                raise HubError(404, "DeviceNotOnline", reason, 404103) from None

    def answer_method(self, identity, request_id, status, body):
        """A device's answer; one that nobody waits for any more is dropped."""
        answer = self._calls.get((identity.name, request_id))
        if answer is not None and not answer.done():
            answer.set_result((status, body))

    def add_authority(self, name, pem):
        """Devices whose certificates this CA (PEM) signed may connect. HubError 400."""
        x509.load(pem)
        self.authorities[name] = pem
        self.store.put("REPLACE INTO authorities VALUES (?, ?)", name, pem)

    def service_connection_string(self, port):
        """The connection string of the policy iothubowner, whose REST side is on `port`."""
        host = "localhost" if port == 443 else f"localhost:{port}"
        key = self.policy_keys["iothubowner"]
        return f"HostName={host};SharedAccessKeyName=iothubowner;SharedAccessKey={key}"

    def eventhub_connection_string(self, port):
        """A connection string for the events, which azure-eventhub reads without TLS."""
        key = self.policy_keys["iothubowner"]
        return (
            f"Endpoint=sb://localhost:{port};SharedAccessKeyName=iothubowner;SharedAccessKey={key};"
            f"UseDevelopmentEmulator=true;EntityPath={ENTITY}"
        )


def _with_version(patch, section):
    patch = {name: value for name, value in patch.items() if not name.startswith("$")}
    return {**patch, "$version": section["version"]}
