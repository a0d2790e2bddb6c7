"""CONNECT: which identity the device is, and whether its token or certificate proves it.

Source: docs/protocol/mqtt.md, "User name" and "Refusals".
"""

import re

from ..core.access import split_resource
from ..core.errors import HubError, Unauthorized
from . import topics

_USER_NAME = re.compile(r"([^/]+)/(.+?)/?\?(.*)")
# CONNACK's return codes (MQTT 3.1.1, 3.2.2.3).
WRONG_PROTOCOL, WRONG_CLIENT_ID, BAD_USER_NAME, NOT_AUTHORIZED = 1, 2, 4, 5


class Refused(HubError):
    """CONNECT is answered with `return_code`, and the connection is closed."""

    def __init__(self, return_code, reason):
        super().__init__(401, "ConnectionRefused", reason)
        self.return_code = return_code


def authenticate(core, packet, chain):
    """(identity, expiry of its token in seconds since 1970, or None). Refused.

    chain: the certificates (DER) that the client has shown in TLS, its own first.
    """
    if packet.level != 4:
        reason = f"protocol level {packet.level}: IoT Hub speaks MQTT 3.1.1 (level 4)"
        raise Refused(WRONG_PROTOCOL, reason)
    match = _USER_NAME.fullmatch(packet.user_name or "")
    if match is None:
        raise Refused(
            BAD_USER_NAME,
            "the user name must be {hub host}/{client id}/?api-version=2021-04-12",
        )
    hub, client_id, query = match.groups()
    if client_id != packet.client_id:
        raise Refused(
            WRONG_CLIENT_ID,
            f"the client id is not {client_id[:140]}, which the user name says: both must be "
            "{device id} or {device id}/{module id}",
        )
    fields = dict(topics.parse_bag(query))
    if not fields.get("api-version"):
        reason = "the user name has no api-version: end it with ?api-version=2021-04-12"
        raise Refused(BAD_USER_NAME, reason)
    identity = core.identities.find(*client_id.partition("/")[::2])
    if identity is None:
        raise Refused(NOT_AUTHORIZED, "no such device or module is registered: create it")
    if not identity.enabled:
        reason = "the device is disabled: set its status to enabled"
        raise Refused(NOT_AUTHORIZED, reason)
    try:
        expiry = _check_credentials(core.access, packet.password, identity, hub, chain)
    except Unauthorized as error:
        raise Refused(NOT_AUTHORIZED, str(error)) from None
    if packet.will_topic is not None:
        _check_will(packet, identity)
    if fields.get("model-id"):
        identity.set_model(fields["model-id"])
    return identity, expiry


def _check_credentials(access, password, identity, hub, chain):
    """The token's expiry; None for a certificate, which is checked only at CONNECT."""
    if password is None:
        if not chain:
            raise Unauthorized(
                "the device sends no password and shows no certificate: it must send a SAS token "
                "as password, or its registered certificate in TLS"
            )
        access.check_certificates(chain, identity)
        return None
    return access.check_token(password, {split_resource(hub)[0]}, identity).expiry


def _check_will(packet, identity):
    if packet.will_qos > 1 or topics.parse_telemetry(packet.will_topic, identity) is None:
        raise Refused(
            BAD_USER_NAME,
            "the will must have QoS 0 or 1 and the device's telemetry topic, "
            + topics.telemetry_topic(identity),
        )
