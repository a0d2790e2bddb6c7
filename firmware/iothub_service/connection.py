"""ServiceConnection: a connection that is made again when it is lost, with its links attached.

An Endpoint is what wants links on it: attach(connection) gives the links, a list, of which it is
the owner (see iothub.amqp.links).
"""

from iothub.amqp.connection import PORT, AMQPConnection
from iothub.amqp.links import refusal
from iothub.compat import AutoResetEvent, unix_time
from iothub.errors import OperationCancelled
from iothub.net import client_context, dial
from iothub.supervisor import Supervisor

_MAX_FRAME = 16384


class ServiceConnection:
    """It is the transport of a Supervisor of its own. place: (host, port or None).

    sign(expiry): the token to show, as iothub.credentials.Credentials.sign(). dispatcher: an
    iothub.dispatcher.Dispatcher, which is told what went wrong behind the caller's back.
    """

    def __init__(self, options, place, container_id, sign, dispatcher):
        self.timeout = options["timeout"]
        self.max_inbound = options["max_inbound"]
        self._options = options
        self._place = place
        self._container_id = container_id
        self._sign = sign
        self._dispatcher = dispatcher
        self._context = client_context(options["server_verification_cert"])
        self._endpoints = []
        self._amqp = None  # the current AMQPConnection, or the last that was
        self.connection = None  # its Connection
        self.renewal_lock = None  # iothub.renewal's
        self._supervisor = Supervisor(self, dispatcher, None, options)

    # -- for the client ---------------------------------------------------------------------

    async def ready(self):
        """Be connected. The first attempt raises its error; a lost connection is waited for."""
        await self._supervisor.ready()

    async def add(self, endpoint):
        """Attach an endpoint, now and at each connection to come. TransportError, RefusedError."""
        await self.ready()
        self._endpoints.append(endpoint)
        try:
            await self._amqp.attached(endpoint.attach(self))
        except BaseException:
            self._endpoints.remove(endpoint)
            raise

    def remove(self, endpoint):
        """Detach an endpoint for good."""
        if endpoint in self._endpoints:
            self._endpoints.remove(endpoint)
            if self.is_open():
                endpoint.close()

    async def shutdown(self):
        """Close for good. What still waits raises OperationCancelled."""
        await self._supervisor.shutdown()
        self.fail(OperationCancelled("the client was closed", "close"))

    # -- for endpoints ----------------------------------------------------------------------

    @property
    def protocol(self):
        """The AMQPProtocol of the connection that stands."""
        return self._amqp.protocol

    def detached(self, endpoint, error):
        """The hub has ended a link of an endpoint: `error` is what it sent."""
        if endpoint in self._endpoints:
            self._endpoints.remove(endpoint)
        endpoint.detached(refusal(error, "link"))

    def oversized(self, size):
        """Report a message over max_inbound: the OversizedError."""
        from iothub.failures import OversizedError

        error = OversizedError("message", size, self.max_inbound)
        self._dispatcher.report(error)
        return error

    # -- for the Supervisor: see Transport in iothub/__init__.pyi ---------------------------

    async def open(self, _wanted):
        host, port = self._place
        amqp = self._amqp = AMQPConnection(self._options, host, self._container_id, _MAX_FRAME)
        self.connection = amqp.connection
        try:
            stream = await dial(self._options, self._context, host, port, PORT, "AMQPWSB10")
            await amqp.open(stream, self._signed())
            links = []
            for endpoint in self._endpoints:
                links += endpoint.attach(self)
            await amqp.attached(links)
            amqp.connection.set_open()
        except BaseException as error:
            amqp.connection.release(error)
            raise

    def _signed(self):
        return self._sign(unix_time() + self._options["sastoken_ttl"])

    async def wait_closed(self):
        connection = self._amqp.connection
        await connection.closed
        error = connection.closed.value  # its value by await takes heap
        connection.release(error)
        return error

    def is_open(self):
        return self._amqp is not None and self._amqp.connection.state != "closed"

    async def close(self):
        if self._amqp is not None:
            error = OperationCancelled("the client was closed", "close")
            connection = self._amqp.connection
            try:
                if connection.is_up():
                    await connection.close(error)
            except OSError as failure:
                self._dispatcher.report(failure)
            finally:
                connection.release(error)

    def fail(self, error):
        """Nothing tries to connect any more: endpoints have to be added anew."""
        endpoints, self._endpoints = self._endpoints, []
        for endpoint in endpoints:
            endpoint.detached(error)

    def tick(self, now):
        oldest = None
        for endpoint in self._endpoints:
            oldest = endpoint.oldest(now) or oldest
        amqp = self._amqp
        if amqp is not None and amqp.connection.is_up():
            amqp.tick(now, oldest)
            if amqp.connection.renewal_due(now):
                from iothub import renewal

                renewal.begin(self, amqp.connection, self._dispatcher, True)

    def token(self):
        return self._signed()[0]

    async def renew(self):
        await self._amqp.put_token(self._signed())


class Endpoint:
    """The base of endpoints: the owner of one link, which has nothing to wait for."""

    link = None  # type: Any  # type: ignore[name-defined]
    connection = None  # type: ServiceConnection

    def oldest(self, now):
        """What waits longest to be settled, or None."""
        return

    def detached(self, error):
        """It is detached for good."""

    def close(self):
        """Detach the link; what waits is not waited for any more."""
        if self.link is not None and self.link.attached:
            self.link.detach()
            self.link = None

    # -- the owner of the link --------------------------------------------------------------

    def on_settled(self, delivery, state):
        """Nothing of it is sent."""

    def on_oversized(self, receiver, number, size, head):
        self.connection.oversized(size)
        receiver.settle(number)
        receiver.grant()

    def on_detached(self, link, error):
        self.connection.detached(self, error)


class Inbox(Endpoint):
    """An endpoint that receives: what has come waits for `async for`, one after the other."""

    def __init__(self):
        self._items = []
        self._arrived = AutoResetEvent()
        self._error = None

    def put(self, item):
        self._items.append(item)
        self._arrived.set()

    def detached(self, error):
        self._error = error
        self._arrived.set()

    def __aiter__(self):
        return self

    async def __anext__(self):
        """The next item, however long it takes: a dead connection is found by itself."""
        while not self._items:
            if self._error is not None:
                raise self._error
            await self._arrived
        return self._items.pop(0)
