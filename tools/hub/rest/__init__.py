"""The REST front: services over HTTPS, and WebSockets on the same port.

server listens and authenticates. registry, queries, configurations, devices, enrollments, files
and local hold the handlers, and request what they share. websocket gives a connection to the MQTT
or AMQP front.
"""

from .server import serving

__all__ = ["serving"]
