"""Whose fault a failure is, where there is more than one answer. Loaded when something fails."""

from .errors import (
    ConnectionFailedError,
    CredentialError,
    ServiceError,
)


async def clock_was_wrong(check, call, error):
    """(what to ask the next time, whether it is worth to connect again at once).

    check: the option check_clock; call: how a handler is called. A token that is refused and a
    certificate that is not valid may be the clock's fault.
    """
    refused = isinstance(error, CredentialError) and error.code != 2
    if not refused and error.stage != "tls":
        return check, False
    wrong = await call(check)
    return (None if wrong is False else check), wrong


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
