"""AMQP errors: the conditions that a link, a session or a connection is closed with.

Source: AMQP 1.0, parts 2.8 and 3.5; docs/protocol/amqp.md, "Errors".
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

# The condition for a HubError, by its status.
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
    """Closes the connection with an error. info: a map with symbols as keys, or None."""

    def __init__(self, condition, description, info=None):
        super().__init__(description)
        self.condition = condition
        self.info = info

    def error(self):
        """The error as AMQP encodes it."""
        return Composite(
            ERROR, condition=self.condition, description=str(self), info=self.info or None
        )


class LinkFault(Fault):
    """Closes only the link."""


class SessionFault(Fault):
    """Ends only the session."""


def from_error(error):
    """The LinkFault for a HubError of the core."""
    condition = _BY_STATUS.get(error.status, "amqp:internal-error")
    return LinkFault(condition, f"{error.name}: {error}")
