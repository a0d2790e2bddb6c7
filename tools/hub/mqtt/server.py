"""Listening for MQTT over TLS."""

import functools

from ..listener import listening
from .connection import Connection


def serving(core, host, port, contexts):
    """An async context manager that listens for devices; its value is the port."""
    return listening(host, port, contexts, functools.partial(Connection, core))
