"""ProvisioningDeviceClient: a device learns its hub from the Device Provisioning Service.

Names are those of azure.iot.device.aio. Source: spec iothub-mqtt, "Device Provisioning Service".
"""

import asyncio
import binascii
import json
import os

from . import sas
from .credentials import split_host
from .deadline import Answer, within
from .errors import ConnectionFailedError, CredentialError, ServiceError
from .mqtt.link import Link
from .options import checked
from .quoting import quote, unquote
from .retry import Backoff

_API = "2019-03-31"
_ANSWERS = "$dps/registrations/res/"
_REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid="
_ASK = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid="
_MAX_WAIT = 60


def derive_device_key(group_key, registration_id):
    """The base64 key that a device has by its enrollment group's base64 `group_key`."""
    digest = sas.hmac_sha256(sas.decode_key(group_key), registration_id.encode())
    return binascii.b2a_base64(digest)[:-1].decode()


class RegistrationState:
    """Where a device belongs. The times are ISO 8601, in UTC."""

    def __init__(self, fields):
        self.device_id = fields.get("deviceId")
        self.assigned_hub = fields.get("assignedHub")
        self.sub_status = fields.get("substatus")
        self.created_date_time = fields.get("createdDateTimeUtc")
        self.last_update_date_time = fields.get("lastUpdatedDateTimeUtc")
        self.etag = fields.get("etag")
        self.response_payload = fields.get("payload")

    def __str__(self):
        return "%s at %s" % (self.device_id, self.assigned_hub)


class RegistrationResult:
    """What register() returns: `status` is "assigned"."""

    def __init__(self, operation_id, status, registration_state):
        self.operation_id = operation_id
        self.status = status
        self.registration_state = registration_state

    def __str__(self):
        return "%s: %s" % (self.registration_state, self.status)


class _Identity:
    """What Link takes for credentials."""

    def __init__(self, provisioning_host, registration_id, id_scope, key):
        self.host, self.port = split_host(provisioning_host, None)
        self.client_id = registration_id
        self._resource = id_scope + "/registrations/" + registration_id
        self._key = key
        self.signer = self._sign if key is not None else None

    def username(self, product_info, model_id):
        user = self._resource + "/api-version=" + _API
        return user + "&ClientVersion=" + quote(product_info) if product_info else user

    def _sign(self, expiry):
        return (sas.sas_token(self._resource, self._key, expiry, "registration"),)


class ProvisioningDeviceClient:
    """Make one with create_from_symmetric_key() or create_from_x509_certificate().

    cache: a file that keeps the assignment, for connect(). Other options are the device clients',
    as far as they concern a connection.
    """

    def __init__(self, identity, key, x509, cache, options):
        self._options = checked(dict(options, x509=x509))
        self._identity = identity
        self._key = key
        self._cache = cache
        self.provisioning_payload = None  # anything JSON can hold, for the service

    @classmethod
    def create_from_symmetric_key(
        cls,
        provisioning_host,
        registration_id,
        id_scope,
        symmetric_key=None,
        group_key=None,
        cache=None,
        **options,
    ):
        """A client with a base64 key: the device's own, or `group_key`, its enrollment group's.

        A group's key belongs on no device that can be opened: derive_device_key() it elsewhere.
        """
        if (symmetric_key is None) == (group_key is None):
            raise ValueError("give one of symmetric_key and group_key")
        key = symmetric_key or derive_device_key(group_key, registration_id)
        sas.decode_key(key)
        identity = _Identity(provisioning_host, registration_id, id_scope, key)
        return cls(identity, key, None, cache, options)

    @classmethod
    def create_from_x509_certificate(
        cls, provisioning_host, registration_id, id_scope, x509, cache=None, **options
    ):
        """A client that shows its certificate (an X509)."""
        identity = _Identity(provisioning_host, registration_id, id_scope, None)
        return cls(identity, None, x509, cache, options)

    async def register(self):
        """Register; a RegistrationResult. CredentialError, ServiceError (`code` is DPS's), or
        whatever connecting raises.
        """
        registration = _Registration(self._identity, self._options)
        wanted = {"registrationId": self._identity.client_id}
        if self.provisioning_payload is not None:
            wanted["payload"] = self.provisioning_payload
        body = json.dumps(wanted).encode()
        limit = self._options["operation_timeout"]
        return await within(limit, "register", registration.run(body))

    async def connect(self, prepare=None, **options):
        """A connected IoTHubDeviceClient of the hub that the device is assigned to.

        What `cache` says is tried first; a hub that does not know the device any more sends it
        back to register. prepare(client) may set handlers before it connects; options are
        IoTHubDeviceClient's.
        """
        known = self._recalled()
        if known is not None:
            try:
                return await self._connected(known[0], known[1], prepare, options)
            except CredentialError:
                pass
            except ConnectionFailedError as error:
                if error.stage != "dns":
                    raise
        state = (await self.register()).registration_state
        client = await self._connected(state.assigned_hub, state.device_id, prepare, options)
        self._remember([state.assigned_hub, state.device_id])
        return client

    async def _connected(self, hub, device_id, prepare, options):
        from .client import IoTHubDeviceClient
        from .credentials import Credentials

        if hub == self._identity.host and self._identity.port:
            hub = "%s:%d" % (hub, self._identity.port)  # both are one: a local hub
        x509 = self._options["x509"]
        given = {"server_verification_cert": self._options["server_verification_cert"]}
        given.update(options, x509=x509)
        credentials = Credentials(hub, device_id, key=self._key, x509=x509 is not None)
        client = IoTHubDeviceClient(credentials, **given)
        if prepare is not None:
            prepare(client)
        try:
            await client.connect()
        except BaseException:
            await client.shutdown()
            raise
        return client

    def _recalled(self):
        try:
            with open(self._cache) as file:
                whose, hub, device_id = json.load(file)
        except (OSError, TypeError, ValueError):  # none yet, or the power went while it was saved
            return None
        return (hub, device_id) if whose == self._whose() else None

    def _remember(self, assignment):
        if self._cache is not None and self._recalled() != tuple(assignment):
            with open(self._cache, "w") as file:
                json.dump([self._whose()] + assignment, file)

    def _whose(self):
        return self._identity.username("", "")


class _Registration:
    """One connection to the service, the owner of its Link."""

    def __init__(self, identity, options):
        self._link = Link(self, identity, options)
        self._link.clean_session = True
        self._timeout = options["timeout"]
        self._backoff = Backoff(2)
        self._rid = int.from_bytes(os.urandom(2), "big")
        self._answer = None

    async def run(self, body):
        link = self._link
        await link.connect({_ANSWERS + "#": 1}, lambda: self._ask(_REGISTER, "", body))
        try:
            operation = ""
            while True:
                status, wait, answer = await within(self._timeout, "register", self._answer.wait())
                found = answer.get("status")
                if status < 300 and found not in ("assigning", "unassigned"):
                    return _result(answer)
                if status >= 300 and status != 429 and status < 500:
                    raise _refusal(answer, status)
                operation = answer.get("operationId") or operation
                await asyncio.sleep(min(_MAX_WAIT, max(wait, self._backoff.next())))
                if operation:
                    self._ask(_ASK, "&operationId=" + quote(operation), b"")
                else:
                    self._ask(_REGISTER, "", body)
        finally:
            await link.disconnect()

    def _ask(self, topic, more, body):
        self._rid += 1
        rid = "%x" % self._rid
        self._answer = self._link.answers[rid] = Answer()
        self._link.session.publish((topic + rid + more).encode(), body)
        self._link.wake()

    # -- what the link says -----------------------------------------------------------------

    def message(self, topic, payload, receipt):
        """The answer to a request; what is not one is dropped."""
        self._link.session.acknowledge(receipt)
        topic = topic.decode()
        if not topic.startswith(_ANSWERS):
            return
        status, _, bag = topic[len(_ANSWERS) :].partition("/?")
        fields = dict([pair.split("=", 1) for pair in bag.split("&") if "=" in pair])
        answer = self._link.answers.pop(unquote(fields.get("$rid", "")), None)
        if answer is None:
            return
        try:
            found = json.loads(payload) if payload else {}
            answer.give((int(status), int(fields.get("retry-after", "0")), found))
        except ValueError:
            answer.fail(ServiceError("DPS answered what cannot be read", "register", status))

    def oversized(self, topic, size):
        """An answer over max_inbound: register() waits for it in vain, until its deadline."""

    def problem(self, error):
        """register() has its own way to fail."""

    def lost(self, error):
        """The answers that were waited for have failed already."""

    def renewed(self):
        """The token was renewed while the service took its time."""

    def expiring(self):
        """Never: the tokens are made here."""

    def calm(self):
        return True


def _result(answer):
    state = answer.get("registrationState") or {}
    status = answer.get("status")
    if status != "assigned" or not state.get("assignedHub"):
        raise _refusal(state, status)
    return RegistrationResult(answer.get("operationId"), status, RegistrationState(state))


def _refusal(answer, status):
    reason = answer.get("message") or answer.get("errorMessage") or "the service says no more"
    if answer.get("trackingId"):
        reason += ", tracking id " + answer["trackingId"]
    code = answer.get("errorCode") or status
    kind = CredentialError if status == 401 else ServiceError
    return kind(reason, "register", code)
