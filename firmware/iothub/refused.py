"""Exceptions of a hub that refuses: they are names of errors.py, which loads this."""


class RefusedError(Exception):
    """The hub refused, with `code`, at `stage`. info: what AMQP's error adds, or None."""

    info = None  # type: dict

    def __init__(self, message, stage=None, code=None):
        super().__init__("%s: %s (%s)" % (stage, message, code))
        self.stage = stage
        self.code = code


class CredentialError(RefusedError):
    """The hub does not accept this identity or token: CONNACK 2, 4 or 5."""


class ServiceError(RefusedError):
    """The hub answered a request with an error status (400, 413, 429, 5xx …)."""
