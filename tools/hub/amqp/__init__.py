"""The AMQP front: devices and services over AMQP 1.0, and events as from an event hub.

server listens; connection, session and links are AMQP's own layers over stream (frames) and
settlement (dispositions). addresses finds the node behind a link: device, service, events and
requests hold the nodes. claims says what a connection may do; sasl and faults are the encoding of
SASL and of errors, messages that of properties.
"""

from .connection import Connection
from .server import serving

__all__ = ["Connection", "serving"]
