"""The REST front: services over HTTPS, and the port where WebSockets arrive."""

from .server import serving

__all__ = ["serving"]
