"""azure.iot.device.exceptions: iothub's, under the same names."""

from iothub.errors import (  # noqa: F401
    ConnectionDroppedError,
    ConnectionFailedError,
    CredentialError,
    NoConnectionError,
    OperationCancelled,
    OperationTimeout,
    ServiceError,
)

# iothub has no class of its own above these: `except` takes the tuple.
ClientError = (
    ConnectionFailedError,
    ConnectionDroppedError,
    NoConnectionError,
    CredentialError,
)
