"""IoTHubDeviceClient and IoTHubModuleClient: a documented subset of azure.iot.device.aio.

The client is a state machine:

    DISCONNECTED --connect()--> CONNECTING --accepted--> CONNECTED
         ^                          |                        |
         +-------- refused ---------+------ lost, or ---------+
         |                                  disconnect()
         +--(lost: wait with jitter)--> CONNECTING

_to() alone changes the state. The receiving half is in handlers.py.
"""

import asyncio
import gc
import json

from . import errors
from .compat import const, unix_time
from .credentials import Credentials
from .deadline import Answer, within
from .errors import (
    ConnectionDroppedError,
    ConnectionFailedError,
    CredentialError,
    NoConnectionError,
    OperationCancelled,
)
from .handlers import Handlers
from .messages import Message
from .options import checked
from .retry import Backoff

DISCONNECTED, CONNECTING, CONNECTED = "disconnected", "connecting", "connected"

_MAX_MESSAGE = const(262144)
_SHORT = const(262144 // 4)


class IoTHubClient(Handlers):
    """What device and module clients share. Make one with create_from_connection_string().

    Handlers are functions or coroutines. Options are listed in iothub.options; some more methods
    in iothub.extras.
    """

    def __init__(self, credentials, **options):
        super().__init__()
        self._options = checked(options)
        self._credentials = credentials
        if self._options["gateway_hostname"] is not None:
            credentials.via(self._options["gateway_hostname"])
        if self._options["transport"] == "amqp":
            from .amqp.transport import AMQPTransport as Transport
        else:
            # Compiling a file needs more heap than having it: these while there is most of it.
            from .mqtt import protocol  # noqa: F401, I001
            from .mqtt import link  # noqa: F401
            from .mqtt.transport import MQTTTransport as Transport  # type: ignore[assignment]
        self._transport = Transport(credentials, self, self._options)
        self._outbox = self._options["outbox"]
        if self._outbox is not None:
            self._outbox.attach(self, self._transport, self._options)
        self._backoff = Backoff()
        self._state = DISCONNECTED
        self._outcome = None  # of the attempt to connect that is under way
        self._online = asyncio.Event()
        self._retry = None
        self.connections = 0  # that were made, in all
        self.heap_low = None  # the least heap that was free after one, in bytes
        self._losses = 0
        self.losses = {}  # stage: how many connections ended there
        self._since = 0  # when the last attempt succeeded, in seconds
        self._brief = 0  # connections in a row that the hub soon closed
        self._check_clock = self._options["check_clock"]
        self._expiring = False  # whether the program has been told so
        self._wanted = False  # between connect() and disconnect()
        self._closed = False
        self._worker = None

    @classmethod
    def create_from_connection_string(cls, connection_string, **options):
        """A client of `HostName=…;DeviceId=…[;ModuleId=…];SharedAccessKey=…[;GatewayHostName=…]`.

        ValueError names what is wrong with the string; TypeError an option that is unknown.
        """
        return cls(Credentials.from_connection_string(connection_string), **options)

    @classmethod
    def create_from_sastoken(cls, sastoken, **options):
        """A client with a ready SAS token, which says which device or module it is for."""
        return cls(Credentials.from_sastoken(sastoken), **options)

    def __getattr__(self, name):
        # Methods that few programs use are loaded when they are asked for.
        from .extras import method

        return method(self, name)

    def __repr__(self):
        from .state import describe

        return describe(self)

    # -- connection -------------------------------------------------------------------------

    @property
    def connected(self):
        return self._state == CONNECTED

    async def connect(self):
        """Connect, once; CredentialError, ConnectionFailedError or OperationTimeout if it fails.

        A connection that is lost later is made again by itself (connection_retry).
        """
        if self._closed:
            raise NoConnectionError("the client has been shut down")
        self._wanted = True
        if self._state == CONNECTING:
            await within(self._options["operation_timeout"], "connack", self._outcome.wait())
        elif self._state == DISCONNECTED:
            await self._attempt()

    async def disconnect(self):
        """Send what is accepted, within the timeout, and close; undelivered messages raise."""
        self._wanted = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        await self._transport.disconnect()
        self._to(DISCONNECTED)
        self._forget_receipts()

    async def shutdown(self):
        """Disconnect for good."""
        self._closed = True
        await self.disconnect()
        if self._outbox is not None:
            self._outbox.close()
        self._inbox.append(None)  # the worker ends when it comes to this
        self._arrived.set()

    def _to(self, state):
        before, self._state = self._state, state
        if errors.tell:
            errors.tell(20, "state", state)
        if state == CONNECTED:
            self._online.set()
        else:
            self._online.clear()
        if self._outbox is not None:
            self._outbox.moved(state != DISCONNECTED)
        if (before == CONNECTED) != (state == CONNECTED):
            self._run(self._call, self.on_connection_state_change)

    async def _attempt(self):
        self._to(CONNECTING)
        self._outcome = Answer()
        try:
            read_twin = self._desired is not None and self._options["ensure_desired_properties"]
            if read_twin:
                self._desired.expect()
            twin = await self._connect(read_twin)
            if not self._wanted:
                await self._transport.disconnect()
                raise OperationCancelled("disconnect() was called meanwhile", "connack")
        except BaseException as error:
            self._to(DISCONNECTED)
            if not isinstance(error, Exception):
                error = OperationCancelled("the attempt to connect was given up", "connack")
            self._outcome.fail(error)
            if self._retry is None:
                self._transport.give_up(error)
            raise
        self._since = unix_time()
        self.connections += 1
        gc.collect()  # what connecting took; what is free now is what the rest has to do with
        if hasattr(gc, "mem_free"):
            self.heap_low = min(self.heap_low or gc.mem_free(), gc.mem_free())
        self._check_clock = self._options["check_clock"]
        self._expiring = False
        self._to(CONNECTED)
        self._outcome.give()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        if twin is not None:
            self._run(self._resync, twin)

    async def _connect(self, read_twin):
        """Connect the transport; the clock is checked before the key, or the hub, is blamed."""
        try:
            return await self._transport.connect(self._features(), read_twin)
        except (CredentialError, ConnectionFailedError) as error:
            if self._check_clock is None:
                raise
            from .blame import clock_was_wrong

            self._check_clock, again = await clock_was_wrong(self._check_clock, self._call, error)
            if not again:
                raise
        return await self._transport.connect(self._features(), read_twin)

    async def _reconnect(self):
        while self._state != CONNECTED:
            wait = self._backoff.next()
            if errors.tell:
                errors.tell(20, "state", "connecting again in %.1f s" % wait)
            await asyncio.sleep(wait)
            if self._state == DISCONNECTED:
                try:
                    await self._attempt()
                except Exception as error:  # whatever it was, the next attempt may do better
                    self.problem(error)
        self._retry = None

    def lost(self, error):
        """The transport's word that the connection is gone."""
        self._losses += 1
        stage = getattr(error, "stage", None)
        self.losses[stage] = self.losses.get(stage, 0) + 1
        self._to(DISCONNECTED)
        self._forget_receipts()
        self.problem(error)
        if unix_time() - self._since > self._backoff.ceiling:
            self._backoff.reset()  # it lasted: this is no hub that hangs up at once
            self._brief = 0
        elif stage in ("read", "link", "close"):
            self._brief += 1
            if self._brief == 3:
                reason = "closed early, again: has another client this identity?"
                self.problem(ConnectionDroppedError(reason, "identity"))
        if not self._options["connection_retry"]:
            self._transport.give_up(error)
        elif self._wanted and self._retry is None:
            self._retry = asyncio.create_task(self._reconnect())

    def renewed(self):
        """The transport's word that it goes on, with a new token, on another connection."""
        self._losses += 1
        self._forget_receipts()
        if self._desired is not None and self._options["ensure_desired_properties"]:
            self._desired.expect()
            self._run(self._resync)

    def expiring(self):
        """The transport's word that a ready token is near its end."""
        if not self._expiring:
            self._expiring = True
            self._run(self._call, self.on_new_sastoken_required)

    async def _ready(self):
        """Be connected, or raise; while a lost connection is being made again, wait for it."""
        if self._state == CONNECTED:
            return
        if self._retry is not None:
            await within(self._options["operation_timeout"], "connack", self._online.wait())
        elif self._options["auto_connect"]:
            await self.connect()
        else:
            raise NoConnectionError("call connect() first")

    # -- sending ----------------------------------------------------------------------------

    def send_message(self, message):
        """Send a Message (or str, or bytes) as telemetry; awaited, it returns once the hub has it.

        Through a lost connection it waits and is sent again. OperationTimeout at puback after
        operation_timeout; ValueError over 256 KB.
        """
        if not isinstance(message, Message):
            message = Message(message)
        # A str of that many characters may be too long as bytes: only then it is worth encoding.
        data = message.data
        short = (isinstance(data, bytes) or isinstance(data, str)) and len(data) <= _SHORT  # noqa: SIM101
        if not short and len(message.payload()) > _MAX_MESSAGE:
            raise ValueError("a message of more than 256 KB")
        if self._outbox is not None:
            return self._outbox.send_message(message)
        if self._state == DISCONNECTED and self._retry is None:
            return self._send_once_ready(message)
        return self._transport.send_message(message)

    async def _send_once_ready(self, message):
        if self._state != CONNECTING:  # it may be by now, and then this leaves with CONNECT
            await self._ready()
        await self._transport.send_message(message)

    async def get_twin(self):
        """The whole twin: {"desired": {…, "$version": n}, "reported": {…, "$version": n}}."""
        body, _ = await self._request_twin(None)
        return json.loads(body)

    async def patch_twin_reported_properties(self, reported_properties_patch):
        """Report a dict of properties; a member of None deletes. ServiceError: not taken."""
        if not isinstance(reported_properties_patch, dict):
            raise ValueError("reported properties are a dict")
        await self._request_twin(json.dumps(reported_properties_patch).encode())

    async def _request_twin(self, patch):
        # Both requests may be repeated without harm, so a lost connection only delays them.
        again = 3 if self._options["connection_retry"] else 1
        while True:
            await self._ready()
            again -= 1
            losses = self._losses
            try:
                return await self._transport.request_twin(patch)
            except ConnectionDroppedError:
                if not again:
                    raise
            for _ in range(100):  # until the keeper has noticed, or it would fail at once again
                if self._losses != losses:
                    break
                await asyncio.sleep(0.01)


class IoTHubDeviceClient(IoTHubClient):
    """A device of an IoT Hub."""

    @classmethod
    def create_from_x509_certificate(cls, x509, hostname, device_id, **options):
        """A client of `device_id` at `hostname` that shows its certificate (an X509)."""
        return cls(Credentials(hostname, device_id, x509=True), x509=x509, **options)

    @classmethod
    def create_from_symmetric_key(cls, symmetric_key, hostname, device_id, **options):
        """A client of `device_id` at `hostname`, which signs its own tokens with a base64 key."""
        return cls(Credentials(hostname, device_id, key=symmetric_key), **options)
