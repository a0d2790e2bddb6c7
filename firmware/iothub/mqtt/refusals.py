"""CONNACK return codes as exceptions. Loaded when a hub refuses a connection."""

from ..errors import ConnectionFailedError, CredentialError, ServiceError


def refusal(code):
    """The exception for a CONNACK with `code` from 1 to 5 (MQTT 3.1.1, 3.2.2.3)."""
    if code == 3:
        return ConnectionFailedError("the hub is not available (3)", "connack")
    if code == 2:
        return CredentialError("the hub does not accept this client identifier", "connack", 2)
    if code == 4:
        return CredentialError("the hub does not accept this user name or token", "connack", 4)
    if code == 5:
        reason = "not authorised: the key or the clock is wrong, or the device is disabled"
        return CredentialError(reason, "connack", 5)
    return ServiceError("the hub does not speak MQTT 3.1.1", "connack", code)
