"""For type checkers, editors and readers: the names that __init__.py loads when first used, and
the interface that the two transports share.
"""

from typing import Any, Awaitable, Callable, Protocol

from . import errors
from .client import IoTHubDeviceClient as IoTHubDeviceClient
from .messages import Message as Message
from .methods import MethodRequest as MethodRequest
from .methods import MethodResponse as MethodResponse
from .module import IoTHubModuleClient as IoTHubModuleClient
from .net.proxy import ProxyOptions as ProxyOptions
from .net.x509 import X509 as X509
from .outbox import Outbox as Outbox
from .provisioning import ProvisioningDeviceClient as ProvisioningDeviceClient

__version__: str
exceptions = errors

class Supervised(Protocol):
    """What a Supervisor opens and closes: a transport, or the service's connection."""

    connection: Any  # the current Connection, or the last that was; None before the first

    async def open(self, wanted: Callable[[], tuple[list, bool]]) -> Any:
        """Make a connection. wanted(): (features, whether to read the twin), asked once there is
        a stream. A Future for the twin, or None. ConnectionFailedError, OperationTimeout,
        CredentialError, ServiceError.
        """

    async def wait_closed(self) -> Exception:
        """Wait until the connection has ended, and free it: the error that ended it."""

    def is_open(self) -> bool:
        """Whether what is sent now has a connection to leave by."""

    async def close(self) -> None:
        """Wait, within the timeout, for what is unacknowledged; say good-bye; close. What is left
        fails with OperationCancelled.
        """

    def fail(self, error: Exception) -> None:
        """Nothing will connect again: what is unacknowledged fails."""

    def tick(self, now: int) -> None:
        """Look at every deadline: give up messages, ping, renew the token, abort a dead
        connection. now: ticks in ms.
        """

class Transport(Supervised, Protocol):
    """IoT Hub's features over one protocol: MQTTTransport and AMQPTransport.

    The features are "messages", "methods", "twin" and "desired". A transport tells its events to
    the Dispatcher, whose on_…() methods they are.
    """

    pending: Any  # a Pending: telemetry that is not acknowledged

    context: Any  # of TLS, for the next connection
    credentials: Any  # a Credentials

    def prepare(self) -> None:
        """Load what features beyond telemetry need. Optional: it is loaded when it is needed."""

    async def enable(self, feature: str) -> None:
        """Ask the hub for a feature, on the connection that stands."""

    def token(self) -> str | None:
        """The SAS token to show now; None where a certificate proves the identity."""

    async def renew(self) -> None:
        """Show token() to the hub; returns once the hub has accepted it. After an error the
        connection goes on with the token before; over MQTT with a will it may have ended.
        """

    def send_message(self, message: Message) -> Awaitable:
        """Send telemetry. Awaited, it is done once the hub has acknowledged it; OperationTimeout:
        it was withdrawn, and may have arrived. At QoS 0 it is done at once.
        """

    async def request_twin(self, patch: bytes | None = None) -> tuple[bytes, int]:
        """Get the twin (JSON), or report a patch (JSON): (body, version) of the answer.

        ServiceError with the hub's status; ConnectionDroppedError; OperationTimeout at twin.
        """

    def respond(self, rid: str, status: int, body: bytes) -> None:
        """Answer a direct method. An answer that misses its connection is worth nothing."""

    def settle(self, receipt: tuple, outcome: str) -> None:
        """Settle a cloud-to-device message: "complete", "reject" or "abandon". Once its connection
        is gone that has no effect: the message comes again.
        """

    def pause_reading(self, paused: bool) -> None:
        """Let the hub send no more cloud-to-device messages, as far as the protocol allows it, or
        let it send them again. Over MQTT nothing at all is read, for a while; over AMQP no credit
        is given.
        """

    async def redeliver(self, receipts: list) -> None:
        """Let the hub send again the messages that were not kept: over MQTT by another
        connection, over AMQP by releasing them.
        """
