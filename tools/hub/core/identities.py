"""The identity registry: devices and modules, with their keys, twins, queues and sessions.

An identity's record is kept in the shape of the REST API.
Source: docs/protocol/rest.md, "Device registry".
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

# The members of a REST body that the registry reads, each with its type.
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
        raise bad_request(f"{name} has the wrong JSON type")
    if isinstance(shape, dict):
        for member, inner in shape.items():
            check_shape(value.get(member), inner, member)


def new_key():
    return base64.b64encode(secrets.token_bytes(32)).decode()


def etag(version):
    return base64.b64encode(version.to_bytes(8, "big")).decode()


class Identity:
    """One device or module.

    session: its DeviceSession while it is connected, else None. subscriptions: what
    keep_subscriptions() was given last.
    """

    def __init__(self, record, twin, subscriptions, store, clock, feedback):
        self.record = record
        self.twin = twin
        self.subscriptions = subscriptions
        self.device_id = record["deviceId"]
        self.module_id = record.get("moduleId", "")
        generation = record["generationId"]
        self.queue = Queue(self.device_id, self.module_id, generation, store, clock, feedback)
        self.session = None
        self._store = store

    @property
    def name(self):
        return f"{self.device_id}/{self.module_id}" if self.module_id else self.device_id

    @property
    def keys(self):
        """The primary and secondary key, in base64; None where there is none."""
        keys = self.record["authentication"].get("symmetricKey") or {}
        return [keys.get("primaryKey"), keys.get("secondaryKey")]

    @property
    def enabled(self):
        return self.record["status"] == "enabled"

    @property
    def connected(self):
        return self.session is not None

    @property
    def connection_state(self):
        """Connected or Disconnected, as the REST API says it."""
        return "Connected" if self.connected else "Disconnected"

    def keep_subscriptions(self, subscriptions):
        """Keep subscriptions ({name: QoS}) for the device's next connection; None: forget them."""
        if subscriptions != self.subscriptions:
            self.subscriptions = subscriptions
            self.save()

    def set_model(self, model_id):
        """Keep the Plug and Play model id that the device names when it connects."""
        self.record["modelId"] = model_id
        self.save()

    def save(self):
        self._store.put(
            "REPLACE INTO identities VALUES (?, ?, ?, ?, ?)",
            self.device_id,
            self.module_id,
            json.dumps(self.record, ensure_ascii=False),
            json.dumps(self.twin, ensure_ascii=False),
            json.dumps(self.subscriptions),
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
        """Load all identities and their messages; returns the highest message number."""
        rows = await self._store.query("SELECT record, twin, session FROM identities")
        for record, twin, subscriptions in rows:
            parts = json.loads(record), json.loads(twin), json.loads(subscriptions)
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
        """A new identity from a REST body; empty or absent keys are made.

        HubError 400, 404 (a module's device does not exist), 409.
        """
        for name in (device_id, module_id or device_id):
            if not _NAME.fullmatch(name):
                raise bad_request(
                    "an id must be 1 to 128 letters, digits or characters of -.%_#*?!(),:=@$'"
                )
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
        """Change an identity as a REST body asks. HubError 400."""
        record = copy.deepcopy(identity.record)
        self._apply(record, wanted)
        record["etag"] = secrets.token_urlsafe(8)
        identity.record = record
        identity.save()

    def _apply(self, record, wanted):
        check_shape(wanted, _SHAPE, "the identity")
        status = wanted.get("status") or record["status"]
        if status not in ("enabled", "disabled"):
            raise bad_request("status must be enabled or disabled")
        if status != record["status"]:
            record["statusUpdatedTime"] = self._stamp()
        record["status"] = status
        record["statusReason"] = wanted.get("statusReason", record["statusReason"])
        record["capabilities"] = wanted.get("capabilities") or record["capabilities"]
        given = wanted.get("authentication") or record["authentication"] or {}
        kind = given.get("type") or ("selfSigned" if given.get("x509Thumbprint") else "sas")
        if kind not in ("sas", "selfSigned", "certificateAuthority"):
            raise bad_request(
                "authentication.type must be sas, selfSigned or certificateAuthority"
            )
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
        """Delete an identity, with its modules and messages; returns all that are deleted."""
        deleted = [identity]
        if not identity.module_id:
            deleted += self.modules(identity.device_id)
        for one in deleted:
            del self._all[one.device_id, one.module_id]
            name = one.device_id, one.module_id
            self._store.put("DELETE FROM identities WHERE device = ? AND module = ?", *name)
            self._store.put("DELETE FROM messages WHERE device = ? AND module = ?", *name)
        return deleted


def checked_key(key):
    """The key, if it is base64 of at least 16 bytes; HubError 400."""
    try:
        if len(base64.b64decode(key, validate=True)) >= 16:
            return key
    except (ValueError, TypeError):
        pass
    raise bad_request("a symmetric key must be base64 of at least 16 bytes")
