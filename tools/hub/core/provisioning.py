"""The Device Provisioning Service (DPS): enrollments, and the registration of devices by them.

An enrollment is kept in the shape of DPS's REST API. Source: docs/protocol/provisioning.md.
"""

import base64
import hmac
import json
import re
import secrets

from . import auth, x509
from .errors import HubError, Unauthorized, bad_request
from .identities import check_shape, checked_key, etag, new_key
from .values import iso

RETRY_AFTER = 1  # seconds that a registration takes: the device is told to ask after them
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
# The kinds of enrollment, each with the member that names one.
KINDS = {"enrollments": "registrationId", "enrollmentGroups": "enrollmentGroupId"}


class Provisioning:
    """All enrollments (of one device each), enrollment groups, and registrations under way."""

    def __init__(self, core, store):
        self._core = core
        self._store = store
        self.id_scope = None
        self._enrollments = {}  # (one of KINDS, name): enrollment
        self._operations = {}  # operation id: (registration id, when it is due, result)

    async def load(self):
        rows = await self._store.query("SELECT kind, name, value FROM enrollments")
        for kind, name, value in rows:
            self._enrollments[kind, name] = json.loads(value)
        rows = await self._store.query("SELECT value FROM settings WHERE name = 'id_scope'")
        if not rows:
            rows = [("0ne" + secrets.token_hex(4).upper(),)]
            self._store.put("INSERT INTO settings VALUES ('id_scope', ?)", rows[0][0])
        self.id_scope = rows[0][0]

    # -- enrollments ------------------------------------------------------------------------

    def put(self, kind, name, wanted):
        """Make or replace an enrollment from a REST body; missing keys are made. HubError 400."""
        if not _NAME.fullmatch(name):
            raise bad_request(
                f"{KINDS[kind]} must be 1 to 128 letters, digits or characters of -._:"
            )
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
                raise bad_request("the x509 attestation has no certificate")
        else:
            raise bad_request("the attestation's type must be symmetricKey or x509")
        enrollment["etag"] = etag(int.from_bytes(secrets.token_bytes(7), "big"))
        self._enrollments[kind, name] = enrollment
        value = json.dumps(enrollment, ensure_ascii=False)
        self._store.put("REPLACE INTO enrollments VALUES (?, ?, ?)", kind, name, value)
        return enrollment

    def get(self, kind, name):
        """The enrollment; HubError 404."""
        try:
            return self._enrollments[kind, name]
        except KeyError:
            raise HubError(404, "EnrollmentNotFound", f"no such {kind[:-1]}: {name}") from None

    def every(self, kind):
        return [
            one for (its_kind, _), one in sorted(self._enrollments.items()) if its_kind == kind
        ]

    def delete(self, kind, name):
        self.get(kind, name)
        del self._enrollments[kind, name]
        self._store.put("DELETE FROM enrollments WHERE kind = ? AND name = ?", kind, name)

    # -- attestation ------------------------------------------------------------------------

    def attest(self, scope, registration_id, password, chain):
        """The enrollment whose key signed the token, or whose certificate was shown. Unauthorized.

        password: the SAS token or None; chain: certificates (DER), the device's own first.
        """
        if scope != self.id_scope:
            raise Unauthorized(
                f"this service's ID scope is {self.id_scope}: the device names {scope[:40]}"
            )
        if not _NAME.fullmatch(registration_id):
            raise Unauthorized(
                "the registration id is not 1 to 128 letters, digits or characters of -._:"
            )
        own = self._enrollments.get(("enrollments", registration_id))
        candidates = [own] if own else self.every("enrollmentGroups")
        reasons = ["no enrollment or enrollment group is for this device: create one"]
        for enrollment in candidates:
            try:
                self._attested(enrollment, registration_id, password, chain)
            except Unauthorized as error:
                reasons.append(str(error))
            else:
                return enrollment
        raise Unauthorized(reasons[-1])

    def _attested(self, enrollment, registration_id, password, chain):
        attestation = enrollment["attestation"]
        if attestation["type"] == "x509":
            if not chain:
                raise Unauthorized(
                    "the enrollment needs a client certificate, and the device shows none"
                )
            certificates = _certificates(attestation)
            if "enrollmentGroupId" in enrollment:
                x509.check_signed(chain, registration_id, certificates)
            else:
                x509.check_thumbprint(chain[0], map(x509.thumbprint, certificates))
            return
        fields = auth.parse(password or "")
        resource = f"{self.id_scope}/registrations/{registration_id}".lower()
        found = auth.resource_of(fields)
        if found.lower() != resource:
            raise Unauthorized(f"the SAS token's sr is {found[:100]}: it must be {resource}")
        auth.verify(fields, keys_of(enrollment, registration_id), self._core.clock())

    # -- registration -----------------------------------------------------------------------

    def begin(self, registration_id, enrollment, payload):
        """Begin a registration; returns the operation id. HubError 400, 404, 413."""
        operation = f"5.{secrets.token_hex(8)}.{secrets.token_hex(8)}"
        if len(self._operations) > 1000:  # the device never asked for the oldest
            self._operations.pop(next(iter(self._operations)))
        state = self._assigned(registration_id, enrollment, payload)
        due = self._core.clock() + RETRY_AFTER * 0.9
        self._operations[operation] = registration_id, due, state
        return operation

    def result(self, registration_id, operation):
        """The registrationState of an operation. HubError 404, 429 (asked too early)."""
        owner, due, state = self._operations.get(operation, (None, 0, None))
        if owner != registration_id:
            raise HubError(
                404,
                "OperationNotFound",
                "this device has no operation with this operationId",
                404205,
            )
        if self._core.clock() < due:
            raise HubError(
                429,
                "ThrottlingException",
                f"the device must wait {RETRY_AFTER} s (retry-after) before it asks",
                429001,
            )
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
        created = identity is None
        if created:
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
            substatus="initialAssignment" if created else "deviceDataMigrated",
            etag=identity.record["etag"],
        )
        if payload is not None:
            # A custom allocation may answer with a payload; the hub gives back the device's own.
            state["payload"] = payload
        return state

    def _trust(self, enrollment):
        """Let the hub trust the CAs of a group as well, so that its devices may connect."""
        group = enrollment.get("enrollmentGroupId")
        if group and enrollment["attestation"]["type"] == "x509":
            for number, pem in enumerate(_certificates(enrollment["attestation"])):
                self._core.add_authority(f"enrollment-group-{group}-{number}", pem)


def keys_of(enrollment, registration_id):
    """The keys (base64) of a registration: the enrollment's own, or derived from the group's."""
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
    """The PEM certificates of an attestation, primary first. HubError 400."""
    found = attestation.get("x509") or {}
    certificates = found.get("clientCertificates") or found.get("signingCertificates") or {}
    if not isinstance(certificates, dict):
        raise bad_request(
            "the attestation's certificates must be a JSON object with primary and secondary"
        )
    texts = []
    for which in ("primary", "secondary"):
        one = certificates.get(which)
        if isinstance(one, dict):
            x509.load(one.get("certificate"))
            texts.append(one["certificate"])
    return texts
