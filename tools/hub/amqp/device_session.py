"""A connected device over AMQP: the device links of one identity, as one session of the core."""

from ..core import DeviceSession
from . import faults
from .faults import LinkFault
from .links import Node


class AmqpDeviceSession(DeviceSession):
    """The device nodes of one identity, over one AMQP connection or several.

    The identity is connected from its first node to its last.
    """

    def __init__(self, core, identity):
        self._core = core
        self._identity = identity
        self.nodes = []

    def add(self, node):
        """Add a node; of the exclusive kinds, it takes the place of an older one."""
        if not self.nodes:
            self.nodes.append(node)
            self._core.connect(self._identity, self)
            return
        replaced = [one for one in self.nodes if node.exclusive and type(one) is type(node)]
        self.nodes.append(node)
        for other in replaced:
            other.link.close(LinkFault(faults.STOLEN, "another link has taken its place"))
        self._core.methods.wake()

    def remove(self, node):
        if node in self.nodes:
            self.nodes.remove(node)
            if not self.nodes:
                self._core.disconnect(self._identity, self)

    # -- DeviceSession: what the core asks --------------------------------------------------

    def close(self, reason):
        for node in list(self.nodes):
            node.link.close(LinkFault(faults.DETACH_FORCED, reason))

    def abort(self):
        for connection in {node.connection for node in self.nodes}:
            connection.abort("cut on request")

    def deliver_messages(self):
        for node in list(self.nodes):
            node.deliver_messages()

    def send_desired(self, patch):
        for node in list(self.nodes):
            node.send_desired(patch)

    def call_method(self, name, request_id, body):
        return any(node.call_method(name, request_id, body) for node in list(self.nodes))


class DeviceNode(Node):
    """A node of one device or module. A subclass does the part of the session that is its own."""

    exclusive = False  # whether an identity has only one node of this kind

    def __init__(self, core, connection, link, identity):
        super().__init__(core, connection, link)
        self.identity = identity
        self.session = None

    def allowed(self, claims):
        return claims.covers(self.identity)

    def opened(self):
        self.session = self.identity.session
        if not isinstance(self.session, AmqpDeviceSession):
            self.session = AmqpDeviceSession(self.core, self.identity)
        self.session.add(self)

    def closed(self):
        if self.session is not None:
            self.session.remove(self)

    def deliver_messages(self):
        """As DeviceSession.deliver_messages, on this link."""

    def send_desired(self, patch):
        """As DeviceSession.send_desired, on this link."""

    def call_method(self, name, request_id, body):
        """As DeviceSession.call_method, on this link."""
        return False
