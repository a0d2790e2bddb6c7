"""ProvisioningDeviceClient: a device learns its hub from the Device Provisioning Service.

Names are those of azure.iot.device.aio. Contract: docs/protocol/provisioning.md.
"""

import asyncio
import binascii
import json
import os

from . import sas
from .compat import Future, quote, unix_time, unquote, wait_for
from .connection import Connection
from .credentials import split_host
from .errors import ConnectionFailedError, CredentialError, OperationCancelled, ServiceError
from .failures import Backoff
from .mqtt.protocol import MQTTProtocol
from .net import client_context, dial
from .options import checked
from .pending import Pending, answer

_PORT = 8883
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
    """Who registers, where, and how it proves itself."""

    def __init__(self, provisioning_host, registration_id, id_scope, key):
        self.host, self.port = split_host(provisioning_host, None)
        self.registration_id = registration_id
        self.resource = id_scope + "/registrations/" + registration_id
        self._key = key

    def username(self, product_info=""):
        user = self.resource + "/api-version=" + _API
        return user + "&ClientVersion=" + quote(product_info) if product_info else user

    def sign(self, expiry):
        """The SAS token to show; None with X.509."""
        if self._key is None:
            return None
        return sas.sas_token(self.resource, self._key, expiry, "registration")


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
        wanted = {"registrationId": self._identity.registration_id}
        if self.provisioning_payload is not None:
            wanted["payload"] = self.provisioning_payload
        body = json.dumps(wanted).encode()
        limit = self._options["operation_timeout"]
        return await wait_for(registration.run(body), limit, "register")

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
        return self._identity.username()


class _Registration:
    """One connection to the service, over which a device registers."""

    def __init__(self, identity, options):
        self._identity = identity
        self._options = options
        self._timeout = options["timeout"]
        self._backoff = Backoff(2)
        self._rid = int.from_bytes(os.urandom(2), "big")
        self._protocol = None

    async def run(self, body):
        identity, options = self._identity, self._options
        context = client_context(options["server_verification_cert"], options["x509"])
        nothing = Pending(0, 0, "register")  # no telemetry goes this way
        user = identity.username(options["product_info"])
        protocol = self._protocol = MQTTProtocol(
            self,
            nothing,
            identity.registration_id,
            user,
            options["keep_alive"],
            options["max_inbound"],
        )
        connection = Connection(protocol, self._timeout, options["keep_alive"])
        protocol.connect(identity.sign(unix_time() + options["sastoken_ttl"]), clean_session=True)
        suback = protocol.subscribe(_ANSWERS + "#", 1)
        asked = self._ask(_REGISTER, "", body)
        try:
            stream = await dial(options, context, identity.host, identity.port, _PORT, "mqtt")
            await connection.open(stream)
            if await wait_for(suback, self._timeout, "subscribe") & 0x80:
                raise ServiceError("the service grants no subscription", "subscribe", 128)
            return await self._registered(asked, body)
        finally:
            await _close(connection)

    async def _registered(self, asked, body):
        operation = ""
        while True:
            status, wait, found = await wait_for(asked, self._timeout, "register")
            assigning = found.get("status") in ("assigning", "unassigned")
            if status < 300 and not assigning:
                return _result(found)
            if status >= 300 and status != 429 and status < 500:
                raise _refusal(found, status)
            operation = found.get("operationId") or operation
            await asyncio.sleep(min(_MAX_WAIT, max(wait, self._backoff.next())))
            if operation:
                asked = self._ask(_ASK, "&operationId=" + quote(operation), b"")
            else:
                asked = self._ask(_REGISTER, "", body)

    def _ask(self, topic, more, body):
        self._rid += 1
        rid = "%x" % self._rid
        self._protocol.publish((topic + rid + more).encode(), body)
        asked = self._protocol.requests[rid] = Future()
        return asked

    # -- what the protocol says -------------------------------------------------------------

    def on_publish(self, topic, payload, receipt):
        """The answer to a request; anything else is dropped."""
        self._protocol.acknowledge(receipt[1])
        topic = topic.decode()
        if not topic.startswith(_ANSWERS):
            return
        status, _, bag = topic[len(_ANSWERS) :].partition("/?")
        fields = dict([pair.split("=", 1) for pair in bag.split("&") if "=" in pair])
        found = error = None
        try:
            found = json.loads(payload) if payload else {}
            found = int(status), int(fields.get("retry-after", "0")), found
        except ValueError:
            error = ServiceError("DPS answered what cannot be read", "register", status)
        answer(self._protocol.requests, unquote(fields.get("$rid", "")), found, error)

    def on_oversized(self, topic, size):
        """An answer over max_inbound: register() ends at its deadline."""


async def _close(connection):
    try:
        await connection.close(OperationCancelled("the registration has ended", "register"))
    except OSError:
        pass  # there is no good-bye on a connection that is gone


def _result(found):
    state = found.get("registrationState") or {}
    status = found.get("status")
    if status != "assigned" or not state.get("assignedHub"):
        raise _refusal(state, status)
    return RegistrationResult(found.get("operationId"), status, RegistrationState(state))


def _refusal(found, status):
    reason = found.get("message") or found.get("errorMessage") or "the service says no more"
    if found.get("trackingId"):
        reason += ", tracking id " + found["trackingId"]
    code = found.get("errorCode") or status
    kind = CredentialError if status == 401 else ServiceError
    return kind(reason, "register", code)
