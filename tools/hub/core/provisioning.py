"""The Device Provisioning Service beside the hub: enrollments, and the devices they become.

An enrollment is kept as DPS's REST API says it. Source: spec iothub-mqtt, "Device Provisioning
Service".
"""

import base64
import hmac
import json
import re
import secrets

from . import auth, x509
from .auth import TokenError
from .errors import HubError, bad_request
from .identities import check_shape, checked_key, etag, new_key
from .values import iso

RETRY_AFTER = 1  # seconds between a registration's beginning and its end
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9\-._:]{0,126}[A-Za-z0-9])?")
_SHAPE = {
    "deviceId": str,
    "provisioningStatus": str,
    "initialTwin": {"properties": {"desired": dict}},
    "attestation": {
        "type": str,
        "symmetricKey": {"primaryKey": str, "secondaryKey": str},
        "x509": dict,
    },
}
KINDS = {"enrollments": "registrationId", "enrollmentGroups": "enrollmentGroupId"}


class Provisioning:
    """All enrollments: enrollments of one device each, and enrollmentGroups."""

    def __init__(self, core):
        self._core = core
        self.id_scope = None
        self._enrollments = {}  # (one of KINDS, name): enrollment
        self._operations = {}  # operation id: (registration id, when it may be asked for, result)

    async def load(self):
        store = self._core.store
        for kind, name, value in await store.query("SELECT kind, name, value FROM enrollments"):
            self._enrollments[kind, name] = json.loads(value)
        rows = await store.query("SELECT value FROM settings WHERE name = 'id_scope'")
        if not rows:
            rows = [("0ne" + secrets.token_hex(4).upper(),)]
            store.put("INSERT INTO settings VALUES ('id_scope', ?)", rows[0][0])
        self.id_scope = rows[0][0]

    # -- enrollments ------------------------------------------------------------------------

    def put(self, kind, name, wanted):
        """Make or replace an enrollment; keys that are missing are made. HubError 400."""
        if not _NAME.fullmatch(name):
            raise bad_request(f"{KINDS[kind]} is not 1 to 128 letters, digits and -._:")
        check_shape(wanted, _SHAPE, "the enrollment")
        enrollment = {**wanted, KINDS[kind]: name}
        enrollment.setdefault("provisioningStatus", "enabled")
        attestation = enrollment["attestation"] = dict(wanted.get("attestation") or {})
        how = attestation.setdefault("type", "symmetricKey")
        if how == "symmetricKey":
            given = attestation.get("symmetricKey") or {}
            attestation["symmetricKey"] = {
                which: checked_key(given.get(which) or new_key())
                for which in ("primaryKey", "secondaryKey")
            }
        elif how == "x509":
            if not _certificates(attestation):
                raise bad_request("the attestation has no certificate")
        else:
            raise bad_request("the attestation's type is symmetricKey or x509")
        enrollment["etag"] = etag(int.from_bytes(secrets.token_bytes(7), "big"))
        self._enrollments[kind, name] = enrollment
        value = json.dumps(enrollment, ensure_ascii=False)
        self._core.store.put("REPLACE INTO enrollments VALUES (?, ?, ?)", kind, name, value)
        return enrollment

    def get(self, kind, name):
        """An enrollment; HubError 404."""
        try:
            return self._enrollments[kind, name]
        except KeyError:
            raise HubError(404, "EnrollmentNotFound", f"no such {kind[:-1]}: {name}") from None

    def every(self, kind):
        return [one for (its, _), one in sorted(self._enrollments.items()) if its == kind]

    def delete(self, kind, name):
        self.get(kind, name)
        del self._enrollments[kind, name]
        self._core.store.put("DELETE FROM enrollments WHERE kind = ? AND name = ?", kind, name)

    # -- who registers ----------------------------------------------------------------------

    def attest(self, scope, registration_id, password, chain):
        """The enrollment that speaks for itself with a token or a certificate; TokenError."""
        if scope != self.id_scope:
            raise TokenError("that is no ID scope of this service")
        if not _NAME.fullmatch(registration_id):
            raise TokenError("that is no registration id")
        own = self._enrollments.get(("enrollments", registration_id))
        candidates = [own] if own else self.every("enrollmentGroups")
        reasons = ["nobody has enrolled it"]
        for enrollment in candidates:
            try:
                self._attested(enrollment, registration_id, password, chain)
            except TokenError as error:
                reasons.append(str(error))
            else:
                return enrollment
        raise TokenError(reasons[-1])

    def _attested(self, enrollment, registration_id, password, chain):
        attestation = enrollment["attestation"]
        if attestation["type"] == "x509":
            if not chain:
                raise TokenError("no client certificate")
            certificates = _certificates(attestation)
            if "enrollmentGroupId" in enrollment:
                x509.check_signed(chain, registration_id, certificates)
            else:
                x509.check_thumbprint(chain[0], map(x509.thumbprint, certificates))
            return
        fields = auth.parse(password or "")
        resource = f"{self.id_scope}/registrations/{registration_id}".lower()
        if auth.unquote(fields["sr"]).lower() != resource:
            raise TokenError("the token is for another resource")
        auth.verify(fields, keys_of(enrollment, registration_id), self._core.clock())

    # -- registration -----------------------------------------------------------------------

    def begin(self, registration_id, enrollment, payload):
        """Begin to register: the operation's id."""
        operation = f"5.{secrets.token_hex(8)}.{secrets.token_hex(8)}"
        if len(self._operations) > 1000:  # nobody asked for the oldest
            self._operations.pop(next(iter(self._operations)))
        state = self._assigned(registration_id, enrollment, payload)
        due = self._core.clock() + RETRY_AFTER * 0.9
        self._operations[operation] = registration_id, due, state
        return operation

    def result(self, registration_id, operation):
        """The registrationState of an operation, or None while it goes on. HubError 404, 429."""
        owner, due, state = self._operations.get(operation, (None, 0, None))
        if owner != registration_id:
            raise HubError(404, "OperationNotFound", "no such operation", 404205)
        if self._core.clock() < due:
            raise HubError(429, "ThrottlingException", "asked before retry-after", 429001)
        return state

    def _assigned(self, registration_id, enrollment, payload):
        now = iso(self._core.clock())
        state = {
            "registrationId": registration_id,
            "createdDateTimeUtc": now,
            "lastUpdatedDateTimeUtc": now,
        }
        if enrollment["provisioningStatus"] != "enabled":
            return {**state, "status": "disabled"}
        self._trust(enrollment)
        device_id = enrollment.get("deviceId") or registration_id
        wanted = {"authentication": _authentication(enrollment, registration_id)}
        identity = self._core.identities.find(device_id)
        fresh = identity is None
        if fresh:
            identity = self._core.create(device_id, "", wanted)
            twin = enrollment.get("initialTwin") or {}
            if twin:
                self._core.patch_twin(identity, twin)
        else:
            self._core.update(identity, wanted)
        state.update(
            assignedHub="localhost",
            deviceId=device_id,
            status="assigned",
            substatus="initialAssignment" if fresh else "deviceDataMigrated",
            etag=identity.record["etag"],
        )
        if payload is not None:
            state["payload"] = payload  # as an allocation function might answer: what it got
        return state

    def _trust(self, enrollment):
        """What signed the devices of a group is an authority of the hub too."""
        group = enrollment.get("enrollmentGroupId")
        if group and enrollment["attestation"]["type"] == "x509":
            for number, pem in enumerate(_certificates(enrollment["attestation"])):
                self._core.add_authority(f"enrollment-group-{group}-{number}", pem)


def keys_of(enrollment, registration_id):
    """The keys that sign for a registration: an enrollment's own, or what its group's give it."""
    keys = list(enrollment["attestation"]["symmetricKey"].values())
    if "enrollmentGroupId" not in enrollment:
        return keys
    return [_derived(key, registration_id) for key in keys]


def _derived(key, registration_id):
    digest = hmac.digest(base64.b64decode(key), registration_id.encode(), "sha256")
    return base64.b64encode(digest).decode()


def _authentication(enrollment, registration_id):
    attestation = enrollment["attestation"]
    if attestation["type"] == "symmetricKey":
        primary, secondary = keys_of(enrollment, registration_id)
        keys = {"primaryKey": primary, "secondaryKey": secondary}
        return {"type": "sas", "symmetricKey": keys}
    if "enrollmentGroupId" in enrollment:
        return {"type": "certificateAuthority"}
    names = ("primaryThumbprint", "secondaryThumbprint")
    thumbprints = map(x509.thumbprint, _certificates(attestation))
    return {"type": "selfSigned", "x509Thumbprint": dict(zip(names, thumbprints, strict=False))}


def _certificates(attestation):
    """The PEM certificates of an attestation. HubError 400: they are not in their place."""
    found = attestation.get("x509") or {}
    certificates = found.get("clientCertificates") or found.get("signingCertificates") or {}
    if not isinstance(certificates, dict):
        raise bad_request("the attestation's certificates are of the wrong type")
    texts = []
    for which in ("primary", "secondary"):
        one = certificates.get(which)
        if isinstance(one, dict):
            x509.load(one.get("certificate"))
            texts.append(one["certificate"])
    return texts
