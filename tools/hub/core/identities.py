"""Devices and modules: who may connect, with what key, and what hangs on each identity.

Source: spec sdk-expectations, "REST".
"""

import base64
import copy
import json
import re
import secrets

from . import twins
from .c2d import Message, Queue
from .errors import HubError, bad_request, not_found

_NAME = re.compile(r"[A-Za-z0-9\-.%_#*?!(),:=@$']{1,128}")


# What a REST body may say of an identity, and of which type it is.
_SHAPE = {
    "status": str,
    "statusReason": str,
    "capabilities": dict,
    "authentication": {
        "type": str,
        "symmetricKey": {"primaryKey": str, "secondaryKey": str},
        "x509Thumbprint": {"primaryThumbprint": str, "secondaryThumbprint": str},
    },
}


def check_shape(value, shape, name):
    """HubError 400 unless `value` is null or of the shape: a type, or {member: shape}."""
    if value is None:
        return
    if not isinstance(value, dict if isinstance(shape, dict) else shape):
        raise bad_request(f"{name} is of the wrong type")
    if isinstance(shape, dict):
        for member, inner in shape.items():
            check_shape(value.get(member), inner, member)


def new_key():
    return base64.b64encode(secrets.token_bytes(32)).decode()


def etag(version):
    return base64.b64encode(version.to_bytes(8, "big")).decode()


class Identity:
    """One device or module, with its twin, its queue and, while connected, its connection."""

    def __init__(self, record, twin, session, store, clock, feedback):
        self.record = record
        self.twin = twin
        self.filters = session  # {filter: QoS} of a persistent MQTT session, or None
        self.device_id = record["deviceId"]
        self.module_id = record.get("moduleId", "")
        generation = record["generationId"]
        self.queue = Queue(self.device_id, self.module_id, generation, store, clock, feedback)
        self.connection = None
        self._store = store

    @property
    def name(self):
        return f"{self.device_id}/{self.module_id}" if self.module_id else self.device_id

    @property
    def keys(self):
        keys = self.record["authentication"].get("symmetricKey") or {}
        return [keys.get("primaryKey"), keys.get("secondaryKey")]

    @property
    def enabled(self):
        return self.record["status"] == "enabled"

    def save(self):
        self._store.put(
            "REPLACE INTO identities VALUES (?, ?, ?, ?, ?)",
            self.device_id,
            self.module_id,
            json.dumps(self.record, ensure_ascii=False),
            json.dumps(self.twin, ensure_ascii=False),
            json.dumps(self.filters),
        )


class Identities:
    """All identities, in memory; the store has each change."""

    def __init__(self, store, clock, stamp, feedback):
        self._store = store
        self._clock = clock
        self._feedback = feedback
        self._stamp = stamp
        self._all = {}

    async def load(self):
        rows = await self._store.query("SELECT record, twin, session FROM identities")
        for record, twin, session in rows:
            parts = json.loads(record), json.loads(twin), json.loads(session)
            identity = Identity(*parts, self._store, self._clock, self._feedback)
            self._all[identity.device_id, identity.module_id] = identity
        rows = await self._store.query(
            "SELECT number, device, module, properties, body, deliveries FROM messages "
            "ORDER BY number"
        )
        for number, device, module, properties, body, deliveries in rows:
            identity = self._all.get((device, module))
            if identity is not None:
                message = Message(number, json.loads(properties), body, deliveries)
                identity.queue.restore(message)
        return max((row[0] for row in rows), default=0)

    def find(self, device_id, module_id=""):
        """The Identity, or None."""
        return self._all.get((device_id, module_id or ""))

    def get(self, device_id, module_id=""):
        """The Identity; HubError 404."""
        identity = self.find(device_id, module_id)
        if identity is None:
            raise not_found(f"{device_id}/{module_id}" if module_id else device_id)
        return identity

    def every(self):
        return list(self._all.values())

    def devices(self):
        return [identity for identity in self._all.values() if not identity.module_id]

    def modules(self, device_id):
        return [
            identity
            for identity in self._all.values()
            if identity.device_id == device_id and identity.module_id
        ]

    def create(self, device_id, module_id, wanted):
        """A new identity from a REST body; empty or absent keys are made. HubError 400, 409."""
        for name in (device_id, module_id or device_id):
            if not _NAME.fullmatch(name):
                raise bad_request("an id is 1 to 128 of letters, digits and -.%_#*?!(),:=@$'")
        if self.find(device_id, module_id):
            raise HubError(409, "DeviceAlreadyExists", f"{device_id} exists already", 409001)
        now = self._stamp()
        record = {
            "deviceId": device_id,
            "generationId": str(secrets.randbelow(10**18)),
            "etag": secrets.token_urlsafe(8),
            "status": "enabled",
            "statusReason": None,
            "statusUpdatedTime": now,
            "authentication": {},
            "capabilities": {"iotEdge": False},
        }
        if module_id:
            self.get(device_id)
            record["moduleId"] = module_id
        self._apply(record, wanted)
        twin = twins.new_twin(now)
        identity = Identity(record, twin, None, self._store, self._clock, self._feedback)
        self._all[device_id, module_id or ""] = identity
        identity.save()
        return identity

    def update(self, identity, wanted):
        """Change what a REST body may change."""
        record = copy.deepcopy(identity.record)
        self._apply(record, wanted)
        record["etag"] = secrets.token_urlsafe(8)
        identity.record = record
        identity.save()

    def _apply(self, record, wanted):
        check_shape(wanted, _SHAPE, "the identity")
        status = wanted.get("status") or record["status"]
        if status not in ("enabled", "disabled"):
            raise bad_request("status is enabled or disabled")
        if status != record["status"]:
            record["statusUpdatedTime"] = self._stamp()
        record["status"] = status
        record["statusReason"] = wanted.get("statusReason", record["statusReason"])
        record["capabilities"] = wanted.get("capabilities") or record["capabilities"]
        given = wanted.get("authentication") or record["authentication"] or {}
        kind = given.get("type") or ("selfSigned" if given.get("x509Thumbprint") else "sas")
        if kind not in ("sas", "selfSigned", "certificateAuthority"):
            raise bad_request("authentication.type is sas, selfSigned or certificateAuthority")
        keys = dict(given.get("symmetricKey") or {})
        for name in ("primaryKey", "secondaryKey"):
            key = keys.get(name) or (new_key() if kind == "sas" else None)
            keys[name] = key and checked_key(key)
        record["authentication"] = {
            "symmetricKey": keys,
            "x509Thumbprint": given.get("x509Thumbprint")
            or {"primaryThumbprint": None, "secondaryThumbprint": None},
            "type": kind,
        }

    def delete(self, identity):
        """Delete an identity, with its modules, messages and session."""
        doomed = [identity]
        if not identity.module_id:
            doomed += self.modules(identity.device_id)
        for one in doomed:
            del self._all[one.device_id, one.module_id]
            name = one.device_id, one.module_id
            self._store.put("DELETE FROM identities WHERE device = ? AND module = ?", *name)
            self._store.put("DELETE FROM messages WHERE device = ? AND module = ?", *name)
        return doomed


def checked_key(key):
    """The key, if it is base64 of a fair length; HubError 400."""
    try:
        if len(base64.b64decode(key, validate=True)) >= 16:
            return key
    except (ValueError, TypeError):
        pass
    raise bad_request("a symmetric key is not base64 of at least 16 bytes")
