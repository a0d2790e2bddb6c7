"""AMQP's errors: what a link, a session or a connection is ended with.

Source: AMQP 1.0, parts 2.8 and 3.5; spec iothub-amqp, "Errors".
"""

from iothub.amqp.composites import ERROR, Composite

UNAUTHORIZED = "amqp:unauthorized-access"
NOT_FOUND = "amqp:not-found"
INVALID_FIELD = "amqp:invalid-field"
NOT_ALLOWED = "amqp:not-allowed"
DECODE_ERROR = "amqp:decode-error"
LIMIT = "amqp:resource-limit-exceeded"
DETACH_FORCED = "amqp:link:detach-forced"
REDIRECT = "amqp:link:redirect"
STOLEN = "amqp:link:stolen"
TOO_LARGE = "amqp:link:message-size-exceeded"
CREDIT_EXCEEDED = "amqp:link:transfer-limit-exceeded"
UNATTACHED = "amqp:session:unattached-handle"
HANDLE_IN_USE = "amqp:session:handle-in-use"
FRAMING = "amqp:connection:framing-error"
FORCED = "amqp:connection:forced"
LOCK_LOST = "com.microsoft:message-lock-lost"
TIMEOUT = "com.microsoft:timeout"

_BY_STATUS = {
    400: "com.microsoft:argument-error",
    401: UNAUTHORIZED,
    403: LIMIT,
    404: NOT_FOUND,
    413: TOO_LARGE,
    429: LIMIT,
    504: TIMEOUT,
}


class Fault(Exception):
    """Ends whatever it is raised in with `condition`; info is a map of symbols."""

    def __init__(self, condition, description, info=None):
        super().__init__(description)
        self.condition = condition
        self.info = info

    def error(self):
        """The error as it is sent."""
        return Composite(
            ERROR, condition=self.condition, description=str(self), info=self.info or None
        )


class LinkFault(Fault):
    """Detaches the link."""


class SessionFault(Fault):
    """Ends the session."""


def of_refusal(refusal):
    """The LinkFault that says a HubError."""
    condition = _BY_STATUS.get(refusal.status, "amqp:internal-error")
    return LinkFault(condition, f"{refusal.name}: {refusal}")
