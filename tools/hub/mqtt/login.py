"""CONNECT judged: which identity speaks, and until when.

Source: spec iothub-mqtt, "Connection".
"""

import re

from ..core.auth import TokenError
from ..core.errors import HubError
from . import topics

_USER = re.compile(r"([^/]+)/(.+?)/?\?(.*)")


class Refused(HubError):
    """CONNECT is answered with `code` and the connection closed."""

    def __init__(self, code, reason):
        super().__init__(401, "ConnectionRefused", reason)
        self.connack = code


def authenticate(core, packet, chain):
    """(identity, when its token expires or None); Refused says why not.

    chain: the certificates (DER) the client showed in TLS, its own first.
    """
    if packet.level != 4:
        raise Refused(1, f"protocol level {packet.level}: IoT Hub speaks 3.1.1 (4)")
    match = _USER.fullmatch(packet.user_name or "")
    if match is None:
        raise Refused(4, "the user name is not {hub}/{device}/?api-version=…")
    hub, client_id, query = match.groups()
    if client_id != packet.client_id:
        raise Refused(2, "client id and user name name different devices")
    fields = dict(topics.parse_bag(query))
    if not fields.get("api-version"):
        raise Refused(4, "the user name has no api-version")
    identity = core.identities.find(*client_id.partition("/")[::2])
    if identity is None:
        raise Refused(5, "no such device or module")
    if not identity.enabled:
        raise Refused(5, "the device is disabled")
    try:
        expiry = _credentials(core.access, packet.password, identity, hub.lower(), chain)
    except TokenError as error:
        raise Refused(5, str(error)) from None
    if packet.will_topic is not None:
        _check_will(packet, identity)
    if fields.get("model-id"):
        identity.record["modelId"] = fields["model-id"]
        identity.save()
    return identity, expiry


def _credentials(access, password, identity, hub, chain):
    """When the token expires; None for a certificate, which does not while it is connected."""
    if password is None:
        if not chain:
            raise TokenError("no password, and no client certificate")
        access.of_certificates(chain, identity)
        return None
    claim = access.of_token(password, {re.sub(r":\d+$", "", hub)})
    if not claim.covers(identity):
        raise TokenError(f"the token is for another resource: {claim.path[:100]}")
    return claim.expiry


def _check_will(packet, identity):
    if packet.will_qos > 1 or topics.parse_telemetry(packet.will_topic, identity) is None:
        raise Refused(4, "the will's topic is not this device's, or its QoS is 2")
