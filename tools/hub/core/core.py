"""The hub without its protocols: identities, sessions, twins, messages, methods and events.

A front calls Core for what a device or a service asks. Core calls back the DeviceSession of the
identity concerned (device_session.py); it knows no front and no protocol.
"""

import json
import time
from pathlib import Path

from . import json_body, twins, x509
from .access import POLICIES, Access
from .configurations import Configurations
from .errors import HubError, bad_request
from .events import EventLog
from .feedback import Feedback
from .identities import Identities, etag, new_key
from .methods import DirectMethods
from .provisioning import Provisioning
from .store import Store
from .uploads import Uploads
from .values import check, iso

MAX_TELEMETRY = 256 * 1024
_AUTH_METHODS = {
    kind: json.dumps({"scope": "device", "type": kind, "issuer": "iothub"})
    for kind in ("sas", "selfSigned", "certificateAuthority")
}


class Core:
    """One hub, kept in a folder.

    A change is visible at once, and on disk when durable() has returned. HubError: a refusal.
    """

    def __init__(self, folder, clock=time.time):
        self.clock = clock
        self._store = store = Store(Path(folder) / "hub.sqlite")
        self.feedback = Feedback(store, clock)
        self.identities = Identities(store, clock, self.stamp, self.feedback)
        self.events = EventLog(store, clock)
        self.methods = DirectMethods()
        self.configurations = Configurations(store, self.stamp)
        self.provisioning = Provisioning(self, store)
        self.uploads = Uploads(Path(folder) / "blobs")
        self.policy_keys = {}
        self._authorities = {}
        self.access = Access(self.identities, self.policy_keys, self._authorities, clock)
        self._next_message = 1

    async def open(self):
        """Load what the database has. StorageError."""
        await self._store.open()
        await self.events.load()
        self._next_message = await self.identities.load() + 1
        await self.feedback.load()
        await self.provisioning.load()
        await self.configurations.load()
        self._authorities.update(await self._store.query("SELECT name, pem FROM authorities"))
        settings = dict(await self._store.query("SELECT name, value FROM settings"))
        key = settings.get("iothubowner")
        if key is None:
            key = new_key()
            self._store.put("INSERT INTO settings VALUES (?, ?)", "iothubowner", key)
        # One key for all policies: a reader of the data folder would have all keys anyway.
        self.policy_keys.update(dict.fromkeys(POLICIES, key))
        await self.durable()

    async def close(self):
        """Write what is pending, and close the database. StorageError."""
        await self._store.close()

    async def durable(self):
        """Wait until every change made so far is on disk. StorageError."""
        await self._store.durable()

    def stamp(self):
        """The time as IoT Hub writes it."""
        return iso(self.clock())

    # -- sessions ---------------------------------------------------------------------------

    def connect(self, identity, session):
        """Make `session` the identity's DeviceSession; an older one is closed (400027)."""
        if identity.session is not None:
            identity.session.close(
                "400027 ConnectionForcefullyClosedOnNewConnection: the same device has connected "
                "again; two programs must not use one device id"
            )
            self.disconnect(identity, identity.session)
        identity.session = session
        self.methods.wake()

    def disconnect(self, identity, session):
        """`session` has ended; the messages that it had locked are free again."""
        identity.queue.release(session)
        if identity.session is session:
            identity.session = None

    # -- registry ---------------------------------------------------------------------------

    def create(self, device_id, module_id, wanted):
        """A new identity from a REST body. HubError 400, 404, 409."""
        identity = self.identities.create(device_id, module_id, wanted)
        self._log_event(identity, "deviceLifecycleEvents", "create", self.twin(identity))
        return identity

    def update(self, identity, wanted):
        """Change an identity; one that becomes disabled loses its connection. HubError 400."""
        self.identities.update(identity, wanted)
        if not identity.enabled and identity.connected:
            identity.session.close("the identity has been disabled")

    def delete(self, identity):
        """Delete an identity with its modules; each loses its connection."""
        self._log_event(identity, "deviceLifecycleEvents", "delete", self.twin(identity))
        for one in self.identities.delete(identity):
            if one.connected:
                one.session.close("the identity has been deleted")

    def add_authority(self, name, pem):
        """Let devices connect whose certificates this CA (PEM) has signed. HubError 400."""
        x509.load(pem)
        self._authorities[name] = pem
        self._store.put("REPLACE INTO authorities VALUES (?, ?)", name, pem)

    # -- telemetry --------------------------------------------------------------------------

    def telemetry(self, identity, body, system, application, more, auth_method="sas"):
        """Take in a telemetry message; returns its sequence number. HubError 413.

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

    def _log_event(self, identity, source, operation, body):
        """Append an event that the hub itself makes, such as a change of a twin."""
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
            json_body.encode(body),
            {"content-type": "application/json", "content-encoding": "utf-8"},
            properties,
            {"iothub-message-source": source},
        )

    # -- cloud-to-device messages -----------------------------------------------------------

    def send_message(self, identity, body, system, application, ack="none", expires=None):
        """Queue a cloud-to-device message; a connected device gets it at once.

        expires: seconds since 1970. HubError 400, 403, 413.
        """
        check(system, "system properties")
        check(application, "properties")
        number = self._next_message
        identity.queue.enqueue(number, body, system, application, ack, expires)
        self._next_message += 1
        if identity.connected:
            identity.session.deliver_messages()

    def sweep(self):
        """Drop expired messages; free messages and feedback whose lock has timed out."""
        for identity in self.identities.every():
            identity.queue.expire()
            if identity.connected and len(identity.queue):
                identity.session.deliver_messages()
        self.feedback.expire()

    # -- twins ------------------------------------------------------------------------------

    def twin(self, identity):
        """The twin as the REST API shows it."""
        record, twin = identity.record, identity.twin
        result = {
            "deviceId": identity.device_id,
            "etag": etag(twin["version"]),
            "deviceEtag": record["etag"],
            "status": record["status"],
            "statusUpdateTime": record["statusUpdatedTime"],
            "connectionState": identity.connection_state,
            "lastActivityTime": self.stamp(),
            "cloudToDeviceMessageCount": len(identity.queue),
            "authenticationType": record["authentication"]["type"],
            "x509Thumbprint": record["authentication"]["x509Thumbprint"],
            "modelId": record.get("modelId", ""),
            "version": twin["version"],
            "tags": twin["tags"],
            "properties": {
                "desired": twins.service_view(twin["desired"]),
                "reported": twins.service_view(twin["reported"]),
            },
            "capabilities": record["capabilities"],
        }
        if identity.module_id:
            result["moduleId"] = identity.module_id
        return result

    def report(self, identity, patch):
        """Merge reported properties; returns their new $version. HubError 400, 413."""
        section = twins.patched(identity.twin["reported"], patch, self.stamp(), "reported")
        self._set_twin(identity, reported=section)
        changes = {"properties": {"reported": patch}}
        self._log_event(identity, "twinChangeEvents", "updateTwin", changes)
        return section["version"]

    def patch_twin(self, identity, body, replace=False):
        """Change tags and desired properties as a service asks; HubError 400, 413.

        replace: what `body` leaves out is removed; else `body` is merged in.
        """
        if not isinstance(body, dict):
            raise bad_request("a twin is not a JSON object")
        changes, now = {}, self.stamp()
        properties = body.get("properties") or {}
        if not isinstance(properties, dict):
            raise bad_request("properties is not a JSON object")
        desired = properties.get("desired", {} if replace else None)
        if desired is not None:
            change = twins.replaced if replace else twins.patched
            changes["desired"] = change(identity.twin["desired"], desired, now, "desired")
        tags = body.get("tags", {} if replace else None)
        if tags is not None:
            changes["tags"] = twins.merged_tags({} if replace else identity.twin["tags"], tags)
        self._set_twin(identity, **changes)
        if "desired" in changes and identity.connected:
            section = changes["desired"]
            patch = twins.device_view(section) if replace else twins.notice(desired, section)
            identity.session.send_desired(patch)
        operation = "replaceTwin" if replace else "updateTwin"
        self._log_event(identity, "twinChangeEvents", operation, body)

    def _set_twin(self, identity, **changes):
        version = identity.twin["version"] + 1
        identity.twin = {**identity.twin, **changes, "version": version}
        identity.save()
