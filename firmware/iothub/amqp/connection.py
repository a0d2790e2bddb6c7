"""AMQPConnection: one AMQP connection with its token, on which links are attached.

Contract: docs/protocol/amqp.md, Authentication.
"""

from ..compat import const, ticks_diff, wait_for
from ..connection import Connection
from ..errors import HEAP_FULL, OperationTimeout
from .cbs import Cbs
from .protocol import AMQPProtocol

PORT = 5671
_DAY = const(86400000)  # ms: ticks cannot tell a week


class AMQPConnection:
    """Opened once and closed once, as the Connection that it has. Times as in iothub.options."""

    def __init__(self, options, hostname, container_id, max_frame=4096):
        self._options = options
        self._timeout = options["timeout"]
        idle = int(options["keep_alive"] * 1000)
        self._idle = idle + idle // 2
        self.protocol = AMQPProtocol(
            container_id, hostname, idle, max_frame, options["max_inbound"]
        )
        self.connection = Connection(self.protocol, self._timeout, options["keep_alive"])
        self._cbs = Cbs(self.protocol, self._timeout)

    async def open(self, stream, signed):
        """Open it, and show a token: what Credentials.sign() gives, or None.

        ConnectionFailedError, OperationTimeout, CredentialError. After an error release it.
        """
        plain = self._options["sasl"] == "plain" and signed is not None
        if plain:
            response = ("\0%s\0%s" % (signed[2], signed[0])).encode()
            self.protocol.start("PLAIN", response)
        else:
            self.protocol.start("ANONYMOUS")
        await self.connection.open(stream, handshake=True)
        if plain:
            self.connection.token_accepted(signed[0])
        elif signed is not None:
            await self.put_token(signed)

    async def put_token(self, signed):
        """Show a new token on the connection that stands. CredentialError: it is refused."""
        await self._cbs.put(signed[0], signed[1])
        self.connection.token_accepted(signed[0])

    async def attached(self, links):
        """Wait for links. ServiceError, CredentialError: the hub refuses one."""
        for link in links:
            await wait_for(link.opened, self._timeout, "attach")

    def tick(self, now, oldest):
        """Abort what is overdue, and send a heartbeat if it is time. oldest: what waits longest
        for its disposition, or None.
        """
        keep_alive = self.connection.keep_alive
        try:
            error = keep_alive.overdue(now, oldest, "disposition")
            if error is None and ticks_diff(now, keep_alive.last_received) > self._idle:
                error = OperationTimeout("nothing came within %g s" % (self._idle / 1000), "ping")
        except MemoryError:  # something is overdue, and there is no heap to say what
            error = HEAP_FULL
        if error is not None:
            self.connection.abort(error)
            return
        quiet = self.protocol.remote_idle
        if quiet and ticks_diff(now, keep_alive.sent) > min(quiet // 3, _DAY):
            keep_alive.sent = now
            self.protocol.heartbeat()
