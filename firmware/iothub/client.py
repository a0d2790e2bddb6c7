"""IoTHubDeviceClient: a documented subset of azure.iot.device.aio (IoTHubModuleClient: module.py).

A client has the public operations and options. Supervisor opens and closes its connections,
Dispatcher calls the program's handlers, a transport speaks MQTT or AMQP: docs/architecture.md.
"""

import json

# First: compiling a file needs more heap than its code has, and this is a large one.
from .supervisor import Supervisor  # isort: skip
from .compat import as_coroutine, const, forget
from .credentials import Credentials, split_host
from .dispatcher import HANDLERS, Dispatcher
from .errors import ConnectionDroppedError, NoConnectionError
from .messages import AMQP_ONLY, Message
from .net import client_context

_MAX_MESSAGE = const(262144)
_SHORT = const(262144 // 4)

# Methods that few programs use: a module, and those of its functions that are methods. It is
# loaded when one is first asked for; a function takes the client's Supervisor, then its arguments.
# This is one string, since a dict would cost every board the heap of its names.
_LAZY_METHODS = const("""
health status report_error
methods send_method_response
renewal update_sastoken
net.upload get_storage_info_for_blob notify_blob_upload_status upload_blob
net.root_update reload_roots
deep_sleep wait_idle get_twin_version set_twin_version
amqp.feedback send_feedback
""")


class IoTHubClient:
    """What device and module clients share. Make one with create_from_connection_string().

    The handlers, functions or coroutine functions, are the attributes that HANDLERS names, or
    None. Options are listed in iothub.options.
    """

    def __init__(self, credentials, **options):
        from .options import checked

        self._options = options = checked(options)
        forget("options")
        if options["gateway_hostname"] is not None:
            credentials.host, credentials.port = split_host(options["gateway_hostname"], None)
        if options["transport"] == "amqp":
            from .amqp.transport import AMQPTransport as Transport
        else:
            from .mqtt.transport import MQTTTransport as Transport  # type: ignore[assignment]
        context = client_context(options["server_verification_cert"], options["x509"])
        self._dispatcher = Dispatcher(options)
        self._transport = Transport(credentials, self._dispatcher, options, context)
        self._dispatcher.transport = self._transport
        self._outbox = outbox = options["outbox"]
        if outbox is not None:
            outbox.start(self._transport.send_message, self._dispatcher.report, options)
        self._supervisor = Supervisor(self._transport, self._dispatcher, outbox, options)
        # Attributes of messages that it cannot send, and that have not been reported yet.
        self._unsent = AMQP_ONLY if outbox is not None or options["transport"] == "mqtt" else ()

    @classmethod
    def create_from_connection_string(cls, connection_string, **options):
        """A client of `HostName=…;DeviceId=…[;ModuleId=…];SharedAccessKey=…[;GatewayHostName=…]`.

        ValueError names what is wrong with the string; TypeError an option that is unknown.
        """
        from .options import from_connection_string

        return cls(from_connection_string(connection_string), **options)

    @classmethod
    def create_from_sastoken(cls, sastoken, device_id=None, module_id=None, **options):
        """A client with a ready SAS token. It says whose it is, unless it is a policy's token.

        device_id, module_id: of a policy's token, or where the token spells them in lower case.
        """
        from .ready_token import from_sastoken

        return cls(from_sastoken(sastoken, device_id, module_id), **options)

    def __setattr__(self, name, value):
        if name in HANDLERS:
            self._dispatcher.set_handler(name, value)
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name):
        if name in HANDLERS:
            return self._dispatcher.handlers.get(name)
        for line in _LAZY_METHODS.split("\n"):
            home, _, names = line.partition(" ")
            if name in names.split(" "):
                # The level-1 form imports relative to this package, on a board as on a host.
                function = getattr(__import__(home, globals(), None, ("*",), 1), name)
                return lambda *arguments: function(self._supervisor, *arguments)
        raise AttributeError("%s has no %r" % (type(self).__name__, name))

    def __repr__(self):
        from .health import describe

        name = "%s %s" % (type(self).__name__, self._transport.credentials.client_id)
        return describe(name, self.status())

    # -- connection -------------------------------------------------------------------------

    @property
    def connected(self):
        return self._supervisor.state == "connected"

    async def connect(self, retry=False):
        """Connect. CredentialError, ConnectionFailedError or OperationTimeout if it fails.

        retry: report failures to on_background_exception and try again, with back-off, until
        there is a connection. A connection that is lost later is made again by itself
        (connection_retry).
        """
        await self._supervisor.connect(retry)

    async def disconnect(self):
        """Send what is accepted, within the timeout, and close; undelivered messages raise."""
        await self._supervisor.stop()

    async def shutdown(self):
        """Disconnect for good."""
        await self._supervisor.shutdown()
        self._dispatcher.close()
        if self._outbox is not None:
            self._outbox.close()

    # -- operations -------------------------------------------------------------------------

    def send_message(self, message):
        """Send a Message (or str, or bytes) as telemetry; awaited, it returns once the hub has it.

        Through a lost connection it waits and is sent again. OperationTimeout at puback after
        operation_timeout; ValueError over 256 KB. An attribute that cannot be sent is reported.
        """
        if not isinstance(message, Message):
            message = Message(message)
        # A str of that many characters may be too long as bytes: only then it is worth encoding.
        data = message.data
        short = (isinstance(data, bytes) or isinstance(data, str)) and len(data) <= _SHORT  # noqa: SIM101
        if not short and len(message.payload()) > _MAX_MESSAGE:
            raise ValueError("a message of more than 256 KB")
        for name in self._unsent:
            if getattr(message, name) is not None:
                from .mqtt.unsent import report_unsent

                self._unsent = report_unsent(self._unsent, message, self._dispatcher.report)
        state = self._supervisor.state
        if self._outbox is not None:
            if state == "closed":
                raise NoConnectionError("the client has been shut down")
            kept = self._outbox.put(message)
            if state == "disconnected":
                # In a task of its own: the outbox keeps the message first.
                self._dispatcher.run(self._auto_connect)
            return as_coroutine(kept)
        if state in ("disconnected", "closed"):
            return self._send_once_ready(message)
        return self._transport.send_message(message)

    async def _auto_connect(self):
        if self._options["auto_connect"]:
            self._supervisor.begin()

    async def _send_once_ready(self, message):
        # Where a connection is being made by now, the message leaves with CONNECT.
        if self._supervisor.state == "disconnected" and self._options["auto_connect"]:
            if self._options["qos"]:
                self._supervisor.begin()  # not awaited, or a later message would overtake this one
            else:
                await self._supervisor.ready()
        elif self._supervisor.state in ("disconnected", "closed"):
            raise NoConnectionError("call connect() first")
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
        attempts = 3 if self._options["connection_retry"] else 1
        while True:
            await self._supervisor.ready()
            attempts -= 1
            try:
                return await self._transport.request_twin(patch)
            except OSError as error:
                lost = isinstance(error, ConnectionDroppedError) or not self._transport.is_open()
                if not (lost and attempts):
                    raise


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
