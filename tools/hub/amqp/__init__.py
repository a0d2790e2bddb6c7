"""The AMQP front: devices and services over AMQP 1.0, and the events as an event hub gives them.

connection ─ session ─ links carry; addresses says which node a link is for; device, service,
events and requests are the nodes; claims says who may have them.
"""

from .connection import Connection
from .server import serving

__all__ = ["Connection", "serving"]
