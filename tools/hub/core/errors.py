"""Refusals: a HubError has an HTTP status; each front says it in its protocol's own way."""


class HubError(Exception):
    """A refused request: an HTTP status, IoT Hub's name for the error, its number and a text."""

    def __init__(self, status, name, message, code=None):
        super().__init__(message)
        self.status = status
        self.name = name
        self.code = code or status * 1000 + 1


class StorageError(HubError):
    """The database cannot be read or written. Nothing that waits for it may be acknowledged."""

    def __init__(self, reason):
        super().__init__(500, "ServerError", reason)


class Unauthorized(HubError):
    """A token or a certificate is not accepted. The text says why; it never holds a secret."""

    def __init__(self, reason):
        super().__init__(401, "IotHubUnauthorized", reason, 401002)


def not_found(what):
    return HubError(404, "DeviceNotFound", f"{what} does not exist")


def bad_request(message):
    return HubError(400, "ArgumentInvalid", message, 400004)
