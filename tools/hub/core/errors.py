"""What the hub refuses, in its own words; each front says it in its own way."""


class HubError(Exception):
    """A refusal: an HTTP-like status, IoT Hub's error name and its number."""

    def __init__(self, status, name, message, code=None):
        super().__init__(message)
        self.status = status
        self.name = name
        self.code = code or status * 1000 + 1


def not_found(what):
    return HubError(404, "DeviceNotFound", f"{what} does not exist")


def bad_request(message):
    return HubError(400, "ArgumentInvalid", message, 400004)
